#!/usr/bin/env bash
# Tests the charts and the kustomize manifests: lint, rendering, refused values and, if KUBECONFIG names a cluster that
# answers, a dry run on its API server.
#
#   charts/test.sh
#
# Prints one line per test; the last line counts them.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/scripts/lib.sh"
. "$root/e2e/scripts/tests.sh"
usage_when_asked "$@"
eval "$("$root/e2e/cluster/env.sh")"
for tool in helm kubectl; do has "$tool" || fail "$tool is missing" "e2e/cluster/tools.sh"; done

operator=$root/charts/balancefleet definition=$root/charts/balancefleet-crds
work=$(mktemp -d "${TMPDIR:-/tmp}/balancefleet-charts.XXXXXX")
# The functions that remove what the tests created, run when the script ends, however it does.
undo=()
end() {
  for remove in "${undo[@]}"; do "$remove" >/dev/null || true; done
  rm -rf "$work"
}
trap end EXIT

operator() { helm template balancefleet "$operator" --namespace balancefleet-system "$@"; }
# has_lines FILE TEXT…: FILE contains each of these lines, at any indentation.
has_lines() {
  local file=$1 line
  shift
  for line; do
    sed 's/^ *//' "$file" | grep -xF -- "$line" >/dev/null || { echo "no line: $line" && return 1; }
  done
}
lacks() { ! grep -nE -- "$2" "$1"; }
# refuses TEXT ARGUMENT…: the operator chart does not render with these values, and Helm's error contains TEXT.
refuses() {
  local text=$1 output
  shift
  if output=$(operator "$@" 2>&1); then echo "the chart renders" && return 1; fi
  grep -qF -- "$text" <<<"$output" || { printf 'the error is: %s\n' "$output" && return 1; }
}

. "$root/charts/tests/rendering.sh"
. "$root/charts/tests/refusals.sh"
. "$root/charts/tests/kustomize.sh"
. "$root/charts/tests/api-server.sh"
. "$root/charts/tests/openshift.sh"

test_result
