# shellcheck shell=bash
# What each script asks of Kafka's tools, of the workers, of the node or engine, and of gnuplot; sourced by test.sh.
# shellcheck disable=SC2154 # labs and work are test.sh's

# topic.sh
topic() { lab "$labs/topic.sh" "$@"; }
tool=(exec kafka-0 --namespace=kafka -- /opt/kafka/bin/kafka-topics.sh --bootstrap-server 127.0.0.1:19092)
test_that 'a topic needs a name' refuses 'which topic?' topic
test_that 'a name that Kafka refuses is refused' refuses 'a/b is no name of a topic' topic --topic a/b
test_that 'zero partitions are refused' refuses '0 partitions' topic --topic orders --partitions 0
runs engine cluster
creates() { says topic --topic orders && called kubectl "${tool[@]}" --create --topic orders --partitions 6 &&
  has_text "$work/output" 'created the topic orders with 6 partition(s)' 'PartitionCount: 3'; }
test_that 'a topic that is missing is created with 6 partitions, and described' creates
runs engine cluster topic-exists
describes() { says topic --topic orders --partitions 9 && has_text "$work/output" 'the topic orders exists, with 3 partition(s)' 'PartitionCount: 3' &&
  ! grep -- --create "$work/said/kubectl"; }
test_that 'a topic that exists is only described' describes
runs engine compose
on_project() { says topic --topic orders --partitions 2 &&
  called docker exec kafka-id /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --create --topic orders --partitions 2; }
test_that 'with Compose the tool runs in the container of Kafka' on_project

# send.sh
send() { lab "$labs/send.sh" "$@"; }
printf '{"a":1}\n\n{"a":2}' >"$work/lines with space"
test_that 'a message and a file are one too many' refuses 'a message or a file, not both' send --message x --file "$work/lines with space"
test_that 'a file that is missing is named' refuses 'cannot read no-such-file' send --file no-such-file
runs engine compose
from_file() { says send --topic orders --file "$work/lines with space" && equals "$(<"$work/said/sent")" "$(<"$work/lines with space")" &&
  called labs send --bootstrap-servers 127.0.0.1:9092 --topic orders && has_text "$work/output" '1 message was acknowledged'; }
test_that 'the lines of a file are sent' from_file
from_standard_input() { says send <"$work/lines with space" && equals "$(<"$work/said/sent")" "$(<"$work/lines with space")"; }
test_that 'and those of standard input' from_standard_input

# groups.sh
runs engine cluster
tool=(exec kafka-0 --namespace=kafka -- /opt/kafka/bin/kafka-consumer-groups.sh --bootstrap-server 127.0.0.1:19092)
untouched() { says groups && equals "$(<"$work/output")" $'GROUP  TOPIC\n  as Kafka   prints it' &&
  called kubectl "${tool[@]}" --describe --group balance-service; }
test_that 'a group is shown as Kafka prints it' untouched
members() { says groups --group orders --members && called kubectl "${tool[@]}" --describe --group orders --members --verbose; }
test_that 'its members too' members
state() { says groups --state && called kubectl "${tool[@]}" --describe --group balance-service --state; }
test_that 'and its state' state
names() { says groups --list && called kubectl "${tool[@]}" --list; }
test_that 'and all groups' names
test_that 'a group that does not exist is said' refuses 'Kafka knows no group nobody' groups --group nobody

# kill-worker.sh
kill_worker() { lab "$labs/kill-worker.sh" "$@"; }
runs engine cluster
by_name() { says kill_worker --worker balance-service-worker-2 &&
  called docker exec node-1 ctr --namespace=k8s.io tasks kill --signal=SIGKILL id-of-balance-service-worker-2 &&
  has_text "$work/output" 'killed balance-service-worker-2 (kill -9), which had partitions 0, 1' 'its session timeout, 12s'; }
test_that 'on the cluster the node kills the process' by_name
runs engine cluster
any_one() { says kill_worker && has_text "$work/output" 'killed balance-service-worker-' && grep -q SIGKILL "$work/said/docker"; }
test_that 'without a name it is one of them' any_one
runs engine cluster
planned() { says kill_worker --worker pod/balance-service-worker-1 --stop --namespace mine &&
  called kubectl delete pod balance-service-worker-1 --namespace=mine --wait=false && never_called docker; }
test_that 'a planned stop deletes the pod' planned
by_group() { says kill_worker --group the-group --worker balance-service-worker-1; }
test_that 'a group of another name than its object is found' by_group
test_that 'a worker that does not exist is refused, with those that do' \
  refuses 'has no worker nobody; it has: balance-service-worker-1, balance-service-worker-2' kill_worker --worker nobody
test_that 'a group that does not exist is refused, with those that do' \
  refuses 'no group nobody in the namespace demo; there: balance-service' kill_worker --group nobody
runs engine compose
by_service() { says kill_worker --worker worker-2 && called docker kill --signal=SIGKILL balancefleet-worker-2-1 &&
  has_text "$work/output" 'its session timeout, 15s' 'e2e/compose/compose.sh start worker-2'; }
test_that 'with Compose the engine kills the container' by_service
stopped() { says kill_worker --worker balancefleet-worker-1-1 --stop && called docker kill --signal=SIGTERM balancefleet-worker-1-1; }
test_that 'and stops it' stopped
test_that 'a group without a worker is said' refuses 'the group nobody has no worker that runs' kill_worker --group nobody
test_that 'the container of another group is none of its workers' refuses 'has no worker other' kill_worker --worker other

# history.sh
history() { lab "$labs/history.sh" "$@"; }
# recorded FILTER VALUE: what the program got.
recorded() { equals "$(jq -c "$1" "$work/said/recording")" "$2"; }
runs engine cluster
collects() {
  says history && has_text "$work/output" 'the history' && recorded '[.on, .group, .assignor]' '["cluster","balance-service","roundrobin"]' &&
    recorded '[.workers[] | [.name, .startedAt, (.history | length)]]' \
      '[["balance-service-worker-1","2026-11-30T13:00:00Z",1],["balance-service-worker-2","2026-11-30T13:00:00Z",1]]' &&
    recorded .unanswered '["balance-service-worker-3"]' &&
    recorded .ended '[{"name":"balance-service-worker-2","at":"2026-11-30T13:05:00Z"}]'
}
test_that 'the histories of all workers are collected, and who did not answer' collects
runs engine compose
collects_on_compose() {
  says history && recorded '[.on, .assignor, [.workers[].name]]' '["compose","range",["balancefleet-worker-1-1","balancefleet-worker-2-1"]]' &&
    recorded .ended '[{"name":"balancefleet-worker-2-1","at":"2026-11-30T13:06:00.5Z"}]'
}
test_that 'with Compose too' collects_on_compose
since() { says history --since '2026-11-30 13:05' && called labs history --since 2026-11-30T13:05:00Z; }
test_that 'a time is read as UTC' since
test_that 'what is no time is refused' refuses 'no time: half past never' history --since 'half past never'
saves() { says history --save "$work/saved.json" && called labs history --json && has_text "$work/saved.json" 'the history'; }
test_that 'what was recorded can be saved' saves
runs
shows_saved() { says lab make -C "$root" history FROM="$work/a.json $work/b.json" && called labs history "$work/a.json" "$work/b.json"; }
test_that 'what was saved is shown without any fleet' shows_saved

# assignors.sh; what it does on a cluster is tried by lab B
runs engine compose
test_that 'assignors are compared on the cluster only' refuses 'keep the assignor they were started with' lab "$labs/assignors.sh"

# lag.sh
lag() { lab "$labs/lag.sh" "$@"; }
runs engine compose
plots() { says lag --for 5s --svg "$work/lag.svg" --save "$work/samples" &&
  called labs lag --bootstrap-servers 127.0.0.1:9092 --group balance-service --for 5s &&
  has_text "$work/output" '520 3 Stable' 'the plot' && has_text "$work/lag.svg" '<svg/>' && has_text "$work/samples" '520 3 Stable' &&
  has_text "$work/said/gnuplot-script" 'set terminal dumb' 'set terminal svg' 'set y2range [0:8]'; }
test_that 'samples are printed, saved, and plotted in the terminal and as SVG' plots
runs
again() { says lag --from "$work/samples" && has_text "$work/output" 'the plot' && never_called labs; }
test_that 'what was saved is plotted without any fleet' again
test_that 'a drawing needs a folder that is there' refuses 'there is no folder for' lag --svg "$work/none/lag.svg"
rm "$work/tools/gnuplot"
runs engine compose
test_that 'no gnuplot is said, with what to do' refuses 'gnuplot is missing' lag
table() { says lag --table && has_text "$work/output" '520 3 Stable' && never_called gnuplot; }
test_that 'the samples alone need no gnuplot' table
