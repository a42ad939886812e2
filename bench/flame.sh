#!/usr/bin/env bash
# Draws flame graphs of the worker's CPU time, one column per thread: `catch-up` with the store `replay`, and
# `exactly-once` with `changelog`.
#
#   bench/flame.sh [FOLDER]     FOLDER: where to write the two .svg files (default: docs/flame)
#
# The sampled stacks stay with the other results of the benchmark, as text (stacks.txt). A run keeps the machine busy
# for a minute or two; nothing else should run on it. Samples are taken by the clock, because virtual machines often
# have no counters. `perf` must be allowed to observe the kernel (root, or kernel.perf_event_paranoid=-1).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/scripts/lib.sh"
usage_when_asked "$@"
folder=$(realpath -m "${1:-$here/../docs/flame}")
cd "$here/.."

e2e/scripts/prerequisites.sh rust profile
perf record --quiet --all-cpus --event cpu-clock --output /dev/null true ||
  fail "perf is not permitted on this machine" "run as root, or first run sysctl kernel.perf_event_paranoid=-1"
! pgrep --exact balance-worker >/dev/null || fail "a balance-worker is already running" "stop it: ps -C balance-worker"
version=0.12.8
inferno=$cache/inferno-$version
if [[ ! -x $inferno/bin/inferno-flamegraph ]]; then
  CARGO_TARGET_DIR=$inferno/build quietly "building inferno $version (once)" \
    cargo install --locked --version "$version" --root "$inferno" inferno
  rm -rf "$inferno/build"
fi

# sample OUTPUT: waits for a worker to start, records the machine until that worker ends, and prints its process id.
sample() {
  local worker
  until worker=$(pgrep --newest --exact balance-worker); do sleep 0.01; done
  # Recording one process alone would miss threads that start while perf attaches.
  perf record --quiet --all-cpus --freq 499 --event cpu-clock --call-graph dwarf,16384 --output "$1" -- \
    tail --pid="$worker" --follow /dev/null
  echo "$worker"
}

mkdir -p "$folder"
scratch=$(mktemp -d -t balancefleet-perf.XXXXXX)
sampler=
clean_up() {
  [[ -z $sampler ]] || kill "$sampler" 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT
for what in catch-up:replay exactly-once:changelog; do
  scenario=${what%:*} store=${what#*:}
  sample "$scratch/$scenario" >"$scratch/pid" &
  sampler=$!
  bench/run.sh "$scenario" --store "$store" --rounds 1 --alone
  wait "$sampler" || fail "perf could not record the worker" "see above"
  sampler=
  stacks=$(find "$cache/bench" -mindepth 1 -maxdepth 1 -type d | sort | tail -n 1)/stacks.txt
  progress "drawing $folder/$scenario.svg"
  # The API threads only answer the benchmark's requests, the last of which is for all balances.
  perf script --input "$scratch/$scenario" --pid "$(<"$scratch/pid")" 2>"$scratch/complaints" |
    "$inferno/bin/inferno-collapse-perf" | grep -v '^api;' >"$stacks" ||
    fail "perf recorded nothing of the worker" "$(tail -n 3 "$scratch/complaints")"
  "$inferno/bin/inferno-flamegraph" --title "$scenario, store $store" --countname samples --minwidth 0.2 \
    <"$stacks" >"$folder/$scenario.svg"
done
