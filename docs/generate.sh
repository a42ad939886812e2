#!/usr/bin/env bash
# Generates files in docs/: the reference of the custom resource and the OpenAPI document of the workers.
#
#   docs/generate.sh            writes the files
#   docs/generate.sh --check    writes nothing; shows differences from the committed files and fails if there are any
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/scripts/lib.sh"
usage_when_asked "$@"
mode=${1:-write}
[[ $mode == write || $mode == --check ]] || fail "unknown argument $mode" "docs/generate.sh --help"
out=$(mktemp -d "${TMPDIR:-/tmp}/balancefleet-docs.XXXXXX")
trap 'rm -rf "$out"' EXIT

run() { "$e2e/scripts/cargo.sh" run --quiet --release --locked --all-features --bin "$1" -- "${@:2}"; }
run crdgen --reference >"$out/reference.md"
run balance-worker --print-openapi >"$out/openapi.json"

status=0
for file in reference.md openapi.json; do
  if [[ $mode == --check ]]; then
    diff -u --label "committed/docs/$file" --label "generated/docs/$file" "$root/docs/$file" "$out/$file" || status=1
  else
    cmp -s "$out/$file" "$root/docs/$file" || { cp "$out/$file" "$root/docs/$file" && progress "wrote docs/$file"; }
  fi
done
[[ $status == 0 ]] || fail "generated documents differ from the committed ones" "run make generate and commit the result"
