#!/usr/bin/env bash
# Draws where the processor time of the worker goes: flame graphs of `catch-up` with the store `replay` and of `exactly-once`
# with `changelog`, a thread a column.
#
#   bench/flame.sh [FOLDER]     FOLDER: where the two .svg go (default: docs/flame)
#
# The stacks of which they are drawn stay beside the bench's other results, as text (stacks.txt). It is a minute or two of
# work for the machine, on which nothing else should run. Sampled by the clock, since virtual machines often have no
# counters: `perf` has to be allowed to look at the kernel (root, or kernel.perf_event_paranoid=-1).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/scripts/lib.sh"
usage_when_asked "$@"
folder=$(realpath -m "${1:-$here/../docs/flame}")
cd "$here/.."

e2e/scripts/prerequisites.sh profile
version=0.12.8
inferno=$cache/inferno-$version
if [[ ! -x $inferno/bin/inferno-flamegraph ]]; then
  CARGO_TARGET_DIR=$inferno/build quietly "building inferno $version (once)" \
    cargo install --locked --version "$version" --root "$inferno" inferno
  rm -rf "$inferno/build"
fi

# sample OUTPUT: watches the machine for as long as the first worker that starts lives, and prints the worker's process id.
sample() {
  local worker
  until worker=$(pgrep --newest --exact balance-worker); do sleep 0.01; done
  # Of a process alone, it would miss threads that begin while it attaches.
  perf record --quiet --all-cpus --freq 499 --event cpu-clock --call-graph dwarf,16384 --output "$1" -- \
    tail --pid="$worker" --follow /dev/null
  echo "$worker"
}

mkdir -p "$folder"
for what in catch-up:replay exactly-once:changelog; do
  scenario=${what%:*} store=${what#*:}
  samples=$(mktemp -t balancefleet-perf.XXXXXX)
  sample "$samples" >"$samples.pid" &
  sampler=$!
  trap 'kill "$sampler" 2>/dev/null || true' EXIT
  bench/run.sh "$scenario" --store "$store" --rounds 1 --alone
  wait "$sampler" || fail "perf could not look at the worker" "see above; sysctl kernel.perf_event_paranoid"
  stacks=$(find "$cache/bench" -mindepth 1 -maxdepth 1 -type d | sort | tail -n 1)/stacks.txt
  progress "drawing $folder/$scenario.svg"
  # In the end the bench asks for all balances, by the API: that is none of what was measured.
  perf script --input "$samples" --pid "$(<"$samples.pid")" 2>/dev/null | "$inferno/bin/inferno-collapse-perf" |
    grep -v '^api;' >"$stacks"
  "$inferno/bin/inferno-flamegraph" --title "$scenario, store $store" --countname samples --minwidth 0.2 \
    <"$stacks" >"$folder/$scenario.svg"
  rm -f "$samples" "$samples.pid"
done
