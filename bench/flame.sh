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

e2e/scripts/prerequisites.sh rust profile
perf record --quiet --all-cpus --event cpu-clock --output /dev/null true ||
  fail "perf may not look at this machine" "as root, or after sysctl kernel.perf_event_paranoid=-1"
! pgrep --exact balance-worker >/dev/null || fail "there is a balance-worker already" "stop it: ps -C balance-worker"
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
  wait "$sampler" || fail "perf could not look at the worker" "see above"
  sampler=
  stacks=$(find "$cache/bench" -mindepth 1 -maxdepth 1 -type d | sort | tail -n 1)/stacks.txt
  progress "drawing $folder/$scenario.svg"
  # The threads of the API do nothing but answer the bench's questions, the last one for all balances.
  perf script --input "$scratch/$scenario" --pid "$(<"$scratch/pid")" 2>"$scratch/complaints" |
    "$inferno/bin/inferno-collapse-perf" | grep -v '^api;' >"$stacks" ||
    fail "perf saw nothing of the worker" "$(tail -n 3 "$scratch/complaints")"
  "$inferno/bin/inferno-flamegraph" --title "$scenario, store $store" --countname samples --minwidth 0.2 \
    <"$stacks" >"$folder/$scenario.svg"
done
