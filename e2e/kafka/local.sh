#!/usr/bin/env bash
# Starts and stops one real KRaft broker as a process of this machine.
#
#   e2e/kafka/local.sh start [--dir D] [--port N] [--sasl]
#   e2e/kafka/local.sh stop [--dir D]
#
#   --dir D    where the broker lives (default <cache>/run/kafka): pid, bootstrap, bootstrap-sasl (with --sasl),
#              server.properties, broker.log, data/
#   --port N   of the plain listener on 127.0.0.1 (default: a free one; the same again when D was used before)
#   --sasl     a second listener, SASL_PLAINTEXT with SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN: balance / balance-secret
#
# Starting again in the same folder keeps the data and the ports, so that a broker can be restarted under its clients.
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

# A folder's ports are chosen once: PLAINTEXT, SASL and CONTROLLER.
choose_ports() {
  [[ -f $dir/ports ]] || echo "${port:-$(free_port)} $(free_port) $(free_port)" >"$dir/ports"
  read -r plain_port sasl_port controller_port <"$dir/ports"
  [[ -z $port || $port == "$plain_port" ]] || fail "$dir holds a broker of port $plain_port" "leave --port out, or take another --dir"
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
    echo "advertised.listeners=$listeners,CONTROLLER://127.0.0.1:$controller_port"
    echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    echo "log.dirs=$dir/data"
  } >"$dir/server.properties"
}

start() {
  mkdir -p "$dir"
  if broker_runs "$dir"; then
    progress "Kafka runs already at $(<"$dir/bootstrap")"
    return
  fi
  # Formatting and starting fetch the jars when missing, and a failure of that must not hide in the background.
  "$here/jars.sh" >/dev/null
  choose_ports
  write_properties
  # The users of SCRAM can only be made here, before there is a broker that would let one in.
  local scram='[name=balance,password=balance-secret]'
  format_broker "$dir" --add-scram "SCRAM-SHA-256=$scram" --add-scram "SCRAM-SHA-512=$scram"
  launch_broker "$dir" 512m
  await_broker "$dir"
  progress "Kafka answers at $(<"$dir/bootstrap")"
}

case $command in
  start) start ;;
  stop) stop_broker "$dir" ;;
  *) fail "say start or stop" "e2e/kafka/local.sh --help" ;;
esac
