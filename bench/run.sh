#!/usr/bin/env bash
# Measures the worker beside other ways to do the same, on a broker of its own, and prints a table of medians.
#
#   bench/run.sh [SCENARIO…] [--quick] [--store STORE,…] [--records N] [--rounds N] [--compression CODEC] [--alone | --former WORKER]
#
#   SCENARIO       catch-up, exactly-once, restore, hand-over, crash, latency, idle, rest (default: all, in this order)
#   --quick        a tenth of the data, one round: says whether everything works, not how fast it is
#   --store        of the worker: replay, changelog, postgres (default: replay,changelog)
#   --records      transactions in the topic (default: 2000000)
#   --rounds       how often each subject is measured, in turn with the others (default: 3, with --former 7)
#   --compression  of the producer: none, lz4, zstd (default: none)
#   --alone        the worker alone, nobody beside it: to look at it while it works
#   --former       the binary of a former build: both workers in turn, nobody beside them, and the ratio of each pair
#
# The table (table.md), every single figure (results.jsonl) and all logs stay in <cache>/bench/<time>. Nothing else
# should run on the machine meanwhile; the load before the start is part of the table.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/scripts/lib.sh"
usage_when_asked "$@"
cd "$here/.."

e2e/scripts/prerequisites.sh rust kafka bench
around=(e2e/kafka/with-kafka.sh)
if [[ " $* " == *postgres* ]]; then
  e2e/scripts/prerequisites.sh postgres
  around+=(e2e/postgres/with-postgres.sh)
fi
claim_target
# The whole workspace, as the tests do: with a part of it the dependencies would be built again with fewer features.
quietly "building the binaries" cargo build --release --locked --workspace --all-features --bins
peers=$(bench/peers/build.sh)
kafka=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' e2e/kafka/pom.xml)
output=$cache/bench/$(date -u +%Y-%m-%dT%H-%M-%S)
mkdir -p "$output"

exec "${around[@]}" "$CARGO_TARGET_DIR/release/balancefleet-bench" run "$@" --output "$output" --peers "$peers" \
  --worker "$CARGO_TARGET_DIR/release/balance-worker" --kafka-version "$kafka" --typed "bench/run.sh${*:+ $*}"
