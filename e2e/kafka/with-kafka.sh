#!/usr/bin/env bash
# Starts a real Kafka broker for a command, runs it, and then stops the broker whatever happened.
#
#   e2e/kafka/with-kafka.sh COMMAND…
#
# COMMAND sees BALANCEFLEET_TEST_KAFKA (host:port), BALANCEFLEET_TEST_KAFKA_SASL (host:port of the listener with
# authentication, balance / balance-secret), BALANCEFLEET_TEST_KAFKA_LIBS (the folder of the jars) and
# BALANCEFLEET_TEST_KAFKA_DIR (the broker's folder: pid, server.properties, broker.log).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "e2e/kafka/with-kafka.sh --help"

dir=$(mktemp -d -t balancefleet-kafka.XXXXXX)
stop() {
  "$here/local.sh" stop --dir "$dir"
  rm -rf "$dir"
}
# A failed start keeps its logs.
trap '"$here/local.sh" stop --dir "$dir"' EXIT
"$here/local.sh" start --dir "$dir" --sasl
trap - EXIT

BALANCEFLEET_TEST_KAFKA=$(<"$dir/bootstrap")
BALANCEFLEET_TEST_KAFKA_SASL=$(<"$dir/bootstrap-sasl")
BALANCEFLEET_TEST_KAFKA_LIBS=$("$here/jars.sh")
export BALANCEFLEET_TEST_KAFKA BALANCEFLEET_TEST_KAFKA_SASL BALANCEFLEET_TEST_KAFKA_LIBS
export BALANCEFLEET_TEST_KAFKA_DIR=$dir
run_then stop "$@"
