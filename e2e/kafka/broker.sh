# shellcheck shell=bash
# Runs one broker as a process of this machine; to be sourced. The broker's folder must hold its server.properties; pid,
# format.log, broker.log and data/ are added.
# shellcheck source=java.sh
. "$(dirname "${BASH_SOURCE[0]}")/java.sh"

# format_broker DIR [ARGUMENT…]: formats the log directory of a new broker; the arguments are those of Kafka's `format`.
format_broker() {
  local dir=$1
  shift
  [[ ! -f $dir/data/meta.properties ]] || return 0
  JAVA_OPTIONS=(-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
  (java_of kafka.tools.StorageTool "$e2e/kafka/log4j2-cli.properties" format --cluster-id balancefleet-test-0001 \
    --config "$dir/server.properties" "$@") >"$dir/format.log" 2>&1 ||
    fail "Kafka refused to format $dir/data: $(tail -n 3 "$dir/format.log")" "look at $dir/format.log"
}

# launch_broker DIR HEAP: starts the broker and does not wait for it. The subshell becomes the JVM, so its id is the
# broker's. The broker has its own process group, so a Ctrl-C in the terminal reaches only the tests, whose cleanup stops
# it. It has no session of its own: Linux shares the processors among sessions first (autogroup), and seven brokers would
# leave an eighth of them to the tests and all their workers.
launch_broker() {
  local dir=$1
  : >"$dir/broker.log"
  JAVA_OPTIONS=(-Xms128m "-Xmx$2" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true)
  set -m
  (java_of kafka.Kafka "$e2e/kafka/log4j2.properties" "$dir/server.properties") </dev/null >>"$dir/broker.log" 2>&1 &
  set +m
  echo $! >"$dir/pid"
}

# await_broker DIR: returns when the broker has started; kills it if it does not start.
await_broker() {
  local broker
  broker=$(<"$1/pid")
  wait_until 120 broker_has_started_or_ended "$1" "$broker" || true
  ! broker_has_started "$1" || return 0
  kill -KILL "$broker" 2>/dev/null || true
  rm -f "$1/pid"
  fail "Kafka did not start: $(grep -E ' (ERROR|FATAL) ' "$1/broker.log" | tail -n 3 || tail -n 3 "$1/broker.log")" "look at $1/broker.log"
}

broker_has_started_or_ended() { broker_has_started "$1" || process_is_gone "$2"; }
broker_has_started() { grep -qs 'Kafka Server started' "$1/broker.log"; }
broker_runs() { is_process "$1/pid" "$1/server.properties"; }
stop_broker() { stop_process "$1/pid" "$1/server.properties" 15; }
