#!/usr/bin/env bash
# Benchmarks the worker against other ways to do the same job, on a private broker, and prints a table of medians.
#
#   bench/run.sh [SCENARIO…] [--quick] [--store STORE,…] [--records N] [--customers N] [--rounds N]
#                [--compression CODEC] [--streams KEY=VALUE]… [--streams-version VERSION]
#                [--alone | --former WORKER] [--released]
#
#   SCENARIO       catch-up, exactly-once, restore, hand-over, crash, latency, idle, rest, memory
#                  (default: all, in this order)
#   --quick        uses a tenth of the data and one round: shows whether everything works, not how fast it is
#   --store        stores of the worker: replay, changelog, postgres (default: replay,changelog)
#   --records      number of transactions in the topic (default: 2000000)
#   --customers    number of customers in the topic (default: 100000)
#   --rounds       measurements per subject, in turn with the other subjects (default: 3, with --former 7)
#   --compression  compression of the producer: none, lz4, zstd (default: none)
#   --streams      another setting of the Kafka Streams peers, for example group.protocol=streams
#   --streams-version  version of Kafka Streams (default: that of bench/peers/pom.xml)
#   --alone        measures only the worker, without peers, to observe it at work
#   --former       binary of a former build: measures both workers in turn, without peers, and the ratio of each pair
#   --released     measures the worker as it is released (e2e/images/release.sh), not as it is tested
#
# The table (table.md), every single figure (results.jsonl) and all logs stay in <cache>/bench/<time>. Nothing else
# should run on the machine meanwhile; the table includes the load before the start.
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
# Build the whole workspace, as the tests do: building a part of it would rebuild the dependencies with fewer features.
quietly "building the binaries" e2e/scripts/cargo.sh build --release --locked --workspace --all-features --bins
kafka=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' e2e/kafka/pom.xml)
output=$cache/bench/$(date -u +%Y-%m-%dT%H-%M-%S)
mkdir -p "$output"

worker=$CARGO_TARGET_DIR/release/balance-worker
typed="bench/run.sh${*:+ $*}"
arguments=() version=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --released) worker=$(e2e/images/release.sh)/balance-worker ;;
    --streams-version) version=("${2:?--streams-version needs a version}") && shift ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
peers=$(bench/peers/build.sh "${version[@]}")
exec "${around[@]}" "$CARGO_TARGET_DIR/release/balancefleet-bench" run "${arguments[@]}" --output "$output" --peers "$peers" \
  --worker "$worker" --kafka-version "$kafka" --typed "$typed"
