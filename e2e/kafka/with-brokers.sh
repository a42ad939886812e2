#!/usr/bin/env bash
# Runs a command beside three real Kafka brokers of its own, and stops them afterwards, whatever happened.
#
#   e2e/kafka/with-brokers.sh COMMAND…
#
# COMMAND sees BALANCEFLEET_TEST_KAFKA_CLUSTER (host:port of each broker, comma separated) and
# BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR (their folder). There `e2e/kafka/brokers.sh kill 2` ends one of them.
# Goes well together with with-kafka.sh, whose single broker is another cluster.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "which command?" "e2e/kafka/with-brokers.sh --help"

dir=$(mktemp -d -t balancefleet-brokers.XXXXXX)
stop() {
  "$here/brokers.sh" stop --dir "$dir"
  rm -rf "$dir"
}
# A start that fails leaves its logs for the reader.
trap '"$here/brokers.sh" stop --dir "$dir"' EXIT
"$here/brokers.sh" start --dir "$dir"
trap - EXIT

BALANCEFLEET_TEST_KAFKA_CLUSTER=$(<"$dir/bootstrap")
export BALANCEFLEET_TEST_KAFKA_CLUSTER BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR=$dir
run_then stop "$@"
