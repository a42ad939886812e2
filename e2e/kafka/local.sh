#!/usr/bin/env bash
# Starts and stops one real KRaft broker as a process of this machine.
#
#   e2e/kafka/local.sh start [--dir D] [--port N] [--sasl]
#   e2e/kafka/local.sh stop [--dir D]
#
#   --dir D    the broker's folder (default <cache>/run/kafka): pid, bootstrap, bootstrap-sasl (with --sasl),
#              server.properties, broker.log, data/
#   --port N   port of the plain listener on 127.0.0.1 (default: a free port; the same as before if D has been used)
#   --sasl     adds a listener, SASL_PLAINTEXT with SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN: balance / balance-secret
#
# Starting again in the same folder keeps data and ports, so a broker can be restarted under its clients.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/broker.sh"
usage_when_asked "$@"

command=${1:-} dir=$cache/run/kafka port='' sasl=no
[[ $# -eq 0 ]] || shift
while [[ $# -gt 0 ]]; do
  case $1 in
    --dir) dir=$(realpath -m "$2") && shift 2 ;;
    --port) port=$2 && shift 2 ;;
    --sasl) sasl=yes && shift ;;
    *) fail "unknown argument $1" "e2e/kafka/local.sh --help" ;;
  esac
done

# Chosen once per folder: the ports of PLAINTEXT, SASL and CONTROLLER.
choose_ports() {
  [[ -f $dir/ports ]] || echo "${port:-$(free_port)} $(free_port) $(free_port)" >"$dir/ports"
  read -r plain_port sasl_port controller_port <"$dir/ports"
  [[ -z $port || $port == "$plain_port" ]] || fail "the broker in $dir has port $plain_port" "omit --port, or choose another --dir"
}

write_properties() {
  local listeners=PLAINTEXT://127.0.0.1:$plain_port
  echo "127.0.0.1:$plain_port" >"$dir/bootstrap"
  rm -f "$dir/bootstrap-sasl"
  if [[ $sasl == yes ]]; then
    listeners+=,SASL://127.0.0.1:$sasl_port
    echo "127.0.0.1:$sasl_port" >"$dir/bootstrap-sasl"
  fi
  {
    cat "$here/broker.properties"
    echo
    echo "listeners=$listeners,CONTROLLER://127.0.0.1:$controller_port"
    # Kafka 3 refuses to advertise the controller's.
    echo "advertised.listeners=$listeners"
    echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    echo "log.dirs=$dir/data"
  } >"$dir/server.properties"
}

start() {
  mkdir -p "$dir"
  if broker_runs "$dir"; then
    progress "Kafka is already running at $(<"$dir/bootstrap")"
    return
  fi
  # Fetch missing jars here: starting would do it in the background, where a failure would go unnoticed.
  "$here/jars.sh" >/dev/null
  choose_ports
  write_properties
  # SCRAM users can only be created here, before a broker exists that would let them in.
  local scram='[name=balance,password=balance-secret]'
  format_broker "$dir" --add-scram "SCRAM-SHA-256=$scram" --add-scram "SCRAM-SHA-512=$scram"
  launch_broker "$dir" 512m
  await_broker "$dir"
  progress "Kafka answers at $(<"$dir/bootstrap")"
}

case $command in
  start) start ;;
  stop) stop_broker "$dir" ;;
  *) fail "expected start or stop" "e2e/kafka/local.sh --help" ;;
esac
