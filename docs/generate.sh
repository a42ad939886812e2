#!/usr/bin/env bash
# Writes what is generated in docs/: the OpenAPI document of the workers' REST API.
#
#   docs/generate.sh            writes
#   docs/generate.sh --check    writes nothing; shows what differs from what is committed and fails if anything does
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/scripts/lib.sh"
usage_when_asked "$@"
mode=${1:-write}
[[ $mode == write || $mode == --check ]] || fail "unknown argument $mode" "docs/generate.sh --help"

committed=$root/docs/openapi.json
generated=$(mktemp "${TMPDIR:-/tmp}/balancefleet-openapi.XXXXXX")
trap 'rm -f "$generated"' EXIT
cargo run --quiet --release --manifest-path "$root/Cargo.toml" --workspace --all-features --bin balance-worker \
  -- --print-openapi >"$generated"
if [[ $mode == --check ]]; then
  diff -u --label committed/docs/openapi.json --label generated/docs/openapi.json "$committed" "$generated" ||
    fail "docs/openapi.json is not what the worker serves" "make generate, and commit the result"
else
  cmp -s "$generated" "$committed" || { cp "$generated" "$committed" && progress "wrote docs/openapi.json"; }
fi
