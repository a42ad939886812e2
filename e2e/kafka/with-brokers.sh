#!/usr/bin/env bash
# Starts three real Kafka brokers for a command, runs it, and then stops the brokers whatever happened.
#
#   e2e/kafka/with-brokers.sh COMMAND…
#
# COMMAND sees BALANCEFLEET_TEST_KAFKA_CLUSTER (host:port of each broker, comma-separated) and
# BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR (their folder, through which `e2e/kafka/brokers.sh kill 2` finds them).
# Can be combined with with-kafka.sh, whose single broker is a separate cluster.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "e2e/kafka/with-brokers.sh --help"

dir=$(mktemp -d -t balancefleet-brokers.XXXXXX)
stop() {
  "$here/brokers.sh" stop --dir "$dir"
  rm -rf "$dir"
}
# A failed start keeps its logs.
trap '"$here/brokers.sh" stop --dir "$dir"' EXIT
"$here/brokers.sh" start --dir "$dir"
trap - EXIT

BALANCEFLEET_TEST_KAFKA_CLUSTER=$(<"$dir/bootstrap")
export BALANCEFLEET_TEST_KAFKA_CLUSTER BALANCEFLEET_TEST_KAFKA_CLUSTER_DIR=$dir
run_then stop "$@"
