# shellcheck shell=bash
# Options, errors with their next step, and what make hands on; sourced by test.sh.
# shellcheck disable=SC2154 # root and work are test.sh's

labs=$root/e2e/labs

runs
for script in topic send groups kill-worker history lag assignors; do
  explains() { says lab "$labs/$script.sh" --help && has_text "$work/output" "e2e/labs/$script.sh" "make $script" '--on cluster|compose'; }
  test_that "$script.sh explains itself and its make target" explains
  test_that "$script.sh refuses an option it does not know" refuses 'unknown option --colour' lab "$labs/$script.sh" --colour red
  test_that "$script.sh refuses an option without its value" refuses '--on needs a value' lab "$labs/$script.sh" --on
done
test_that 'an argument that is no option is refused' refuses 'unexpected argument: orders' lab "$labs/topic.sh" orders

listed() { says lab make -C "$root" help && has_text "$work/output" "make $1 "; }
for target in topic send groups kill-worker history lag assignors; do test_that "make lists $target" listed "$target"; done

# Where the fleet runs.
groups() { lab "$labs/groups.sh" "$@"; }
runs
test_that 'no Docker Engine is said' refuses 'no Docker Engine answers' groups
runs engine
test_that 'neither cluster nor Compose is said' refuses 'neither the cluster nor the Compose project runs' groups
runs engine compose
test_that 'a cluster that does not run is said' refuses 'the cluster does not run' groups --on cluster
runs engine cluster
test_that 'a Compose project that does not run is said' refuses 'the Compose project balancefleet does not run' groups --on compose
test_that 'another place is refused' refuses '--on moon: expected cluster or compose' groups --on moon
test_that 'and so is one in the environment' refuses '--on moon: expected cluster or compose' lab env ON=moon "$labs/groups.sh"
on_cluster() { says "$@" && grep -q "'exec' 'kafka-0'" "$work/said/kubectl"; }
on_compose() { says "$@" && grep -q "'exec' 'kafka-id'" "$work/said/docker"; }
runs engine cluster compose
test_that 'the cluster comes first when both run' on_cluster groups
runs engine cluster compose
test_that 'ON chooses' on_compose lab env ON=compose "$labs/groups.sh"
runs engine cluster compose
test_that '--on goes over ON' on_cluster lab env ON=compose "$labs/groups.sh" --on cluster
runs engine cluster compose
test_that 'make passes ON' on_compose lab make -C "$root" groups ON=compose
runs engine compose
test_that 'Compose is found when it alone runs' on_compose groups

# What make hands on.
sent() { equals "$(<"$work/said/sent")" "$1"; }
makes() { says lab make --no-print-directory -C "$root" "$@"; }
arrives() { makes send "MESSAGE=$1" && sent "$1"; }
runs engine compose
test_that 'JSON arrives through make as it is' arrives '{"transactionId":"BAL-001","description":"Depot  initial","amount":5000.00}'
test_that 'quotes arrive through make' arrives "it's \"quoted\" \`date\` \\n \\\\"
# shellcheck disable=SC2016 # this is the text
inert() { arrives '$HOME $$ ${x} $(shell touch '"$work/ran) costs 5\$ \$(unclosed" && [[ ! -e $work/ran ]]; }
test_that '$ arrives through make, and runs nothing' inert
test_that '# ; & | < > * ? and % arrive through make' arrives '# a; b & c | d < e > f * g ? %h = i'
with_options() {
  makes send MESSAGE=x TOPIC='my topic' KEY='a "key"' ANY=yes &&
    called labs send --bootstrap-servers 127.0.0.1:9092 --topic 'my topic' --key 'a "key"' --any
}
test_that 'variables of make are options, and a flag is one word' with_options
runs engine compose
without_flag() { makes send MESSAGE=x ANY=no && called labs send --bootstrap-servers 127.0.0.1:9092 --topic banking.transactions; }
test_that 'a flag that is "no" is none' without_flag
runs engine compose
not_inherited() { says lab env KEY=mine TOPIC=mine MESSAGE=y GROUP=staff make -C "$root" send MESSAGE=x && sent x && ! grep mine "$work/said/labs"; }
test_that 'variables that happen to be in the environment are no options' not_inherited
