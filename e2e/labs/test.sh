#!/usr/bin/env bash
# Tests the scripts of this folder without Kafka, cluster or Docker: arguments and errors, what make hands on, and what they
# ask of other programs, which are stand-ins here. What the real ones do is tried by the labs themselves (docs/labs).
#
#   e2e/labs/test.sh
#
# Prints one line per test; the last line counts them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/e2e/scripts/lib.sh"
. "$root/e2e/scripts/tests.sh"
usage_when_asked "$@"
for tool in jq make; do has "$tool" || fail "$tool is missing" "e2e/scripts/prerequisites.sh"; done

work=$(mktemp -d "${TMPDIR:-/tmp}/balancefleet-labs.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The world of the scripts: the tools of this machine but for those that are stand-ins, a cache and a target folder of its
# own. What runs is a file in $work/runs: engine, cluster, compose.
mkdir -p "$work/tools" "$work/cache" "$work/target/release" "$work/runs" "$work/said"
find /usr/local/bin /usr/bin /bin -maxdepth 1 \( -type f -o -type l \) -exec ln -sf -t "$work/tools" {} +
rm -f "$work/tools"/{docker,kubectl,gnuplot,curl}
for tool in docker kubectl curl gnuplot; do cp "$root/e2e/labs/tests/stand-in" "$work/tools/$tool"; done
cp "$root/e2e/labs/tests/stand-in" "$work/target/release/labs"
touch "$work/cache/kubeconfig"
export STAND_IN=$work

# lab COMMAND…: runs it in that world.
lab() {
  env -u ON -u COMPOSE_PROJECT_NAME -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u DOCKER_HOST -u KUBECONFIG PATH="$work/tools" \
    BALANCEFLEET_CACHE="$work/cache" CARGO_TARGET_DIR="$work/target" "$@"
}
# runs WHAT…: only these run now, and nothing was asked of them yet.
runs() {
  rm -rf "$work/runs" "$work/said"
  mkdir "$work/runs" "$work/said"
  local what
  for what; do touch "$work/runs/$what"; done
}
# says COMMAND…: it succeeds; its output is kept in $work/output.
says() { "$@" >"$work/output" 2>&1 || { echo "it fails:" && cat "$work/output" && return 1; }; }
# refuses TEXT COMMAND…: it fails, and says TEXT and a next step.
refuses() {
  local text=$1
  shift
  if "$@" >"$work/output" 2>&1; then echo "it succeeds:" && cat "$work/output" && return 1; fi
  has_text "$work/output" "$text" ' next: '
}
# has_text FILE TEXT…: FILE contains each of these texts.
has_text() {
  local file=$1 text
  shift
  for text; do grep -qF -- "$text" "$file" || { echo "no ${text@Q} in:" && cat "$file" && return 1; }; done
}
# called TOOL ARGUMENT…: the tool was called with exactly these arguments, one per line in the file.
called() {
  local tool=$1
  shift
  grep -qxF -- "${*@Q}" "$work/said/$tool" || { echo "no call ${*@Q} in:" && cat "$work/said/$tool" && return 1; }
}
never_called() { [[ ! -s $work/said/$1 ]] || { echo "called:" && cat "$work/said/$1" && return 1; }; }
equals() { [[ $1 == "$2" ]] || { printf 'expected: %s\nfound:    %s\n' "$2" "$1" && return 1; }; }

. "$root/e2e/labs/tests/arguments.sh"
. "$root/e2e/labs/tests/instruments.sh"

test_result
