#!/usr/bin/env bash
# Starts and stops a cluster of three real KRaft brokers as processes of this machine, all together or one by one.
#
#   e2e/kafka/brokers.sh start|stop|kill|freeze|thaw [N] [--dir D]
#
#   start     starts the brokers that are not running and thaws frozen ones
#   stop      stops one broker cleanly (TERM); kills all three, because the last would wait in vain for a majority
#   kill      ends them with KILL
#   freeze    suspends them with STOP: their connections stay open and silent
#   thaw      resumes them (CONT)
#   N         the broker: 1, 2 or 3 (default: all)
#   --dir D   their folder (default $BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR, else <cache>/run/kafka-brokers): bootstrap,
#             ports, and in 1/, 2/, 3/ each broker's pid, server.properties, broker.log, data/
#
# Starting again in the same folder keeps data and ports, so brokers can be restarted under their clients.
# Topics have three replicas, of which two must be in sync.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/broker.sh"
usage_when_asked "$@"

command=${1:-} dir=${BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR:-$cache/run/kafka-brokers} numbers=(1 2 3)
[[ $# -eq 0 ]] || shift
while [[ $# -gt 0 ]]; do
  case $1 in
    [1-3]) numbers=("$1") && shift ;;
    --dir) dir=$(realpath -m "$2") && shift 2 ;;
    *) fail "unknown argument $1" "e2e/kafka/brokers.sh --help" ;;
  esac
done

# Chosen once per folder: the ports of three brokers, then of three controllers.
choose_ports() {
  local chosen=() port
  while [[ ! -f $dir/ports ]]; do
    port=$(free_port)
    [[ " ${chosen[*]} " == *" $port "* ]] || chosen+=("$port")
    [[ ${#chosen[@]} -lt 6 ]] || echo "${chosen[*]}" >"$dir/ports"
  done
  read -ra ports <"$dir/ports"
  echo "127.0.0.1:${ports[0]},127.0.0.1:${ports[1]},127.0.0.1:${ports[2]}" >"$dir/bootstrap"
}

write_properties() {
  local listener=PLAINTEXT://127.0.0.1:${ports[$1 - 1]}
  mkdir -p "$dir/$1"
  {
    cat "$here/broker.properties" "$here/three-brokers.properties"
    echo
    echo "node.id=$1"
    echo "listeners=$listener,CONTROLLER://127.0.0.1:${ports[$1 + 2]}"
    # Kafka 3 refuses to advertise the controller's.
    echo "advertised.listeners=$listener"
    echo "controller.quorum.voters=1@127.0.0.1:${ports[3]},2@127.0.0.1:${ports[4]},3@127.0.0.1:${ports[5]}"
    echo "log.dirs=$dir/$1/data"
  } >"$dir/$1/server.properties"
}

start() {
  local number jobs=() started=()
  mkdir -p "$dir"
  # Fetch missing jars here: formatting and starting would do it in the background, where a failure would go unnoticed.
  "$here/jars.sh" >/dev/null
  choose_ports
  for number in "${numbers[@]}"; do
    if broker_runs "$dir/$number"; then
      signal CONT "$number"
      continue
    fi
    write_properties "$number"
    format_broker "$dir/$number" &
    jobs+=($!) started+=("$number")
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  # Launch all of them before waiting for the first: one broker alone has no majority.
  for number in "${started[@]}"; do launch_broker "$dir/$number" 384m; done
  for number in "${started[@]}"; do await_broker "$dir/$number"; done
}

# signal NAME N: sends the signal to broker N if it is running.
signal() { ! broker_runs "$dir/$2" || kill "-$1" "$(<"$dir/$2/pid")"; }

each() {
  local number
  for number in "${numbers[@]}"; do "$@" "$number"; done
}
leave() { stop_broker "$dir/$1"; }
# After the signal alone, the next start could still meet the ending process and its port.
finish_off() {
  signal KILL "$1"
  leave "$1"
}

case $command in
  start)
    start
    progress "Kafka's brokers ${numbers[*]} answer at $(<"$dir/bootstrap")"
    ;;
  stop) if [[ ${#numbers[@]} -eq 1 ]]; then each leave; else each finish_off; fi ;;
  kill) each finish_off ;;
  freeze) each signal STOP ;;
  thaw) each signal CONT ;;
  *) fail "expected start, stop, kill, freeze or thaw" "e2e/kafka/brokers.sh --help" ;;
esac
