#!/usr/bin/env bash
# Prints the path of the worker of a former release. Builds it from this repository's history if it is not in the cache.
#
#   e2e/scripts/former-worker.sh [COMMIT]      default: the first release
#
# Tests run it together with the worker of this build: both must share a group (docs/upgrading.md). It is built like
# everything else, in the same target, so common dependencies are compiled once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"

first_release=de74611fcdcd3c0e37568f2b408d6b77ffd3e1fb
clone=$(cd "$here/../.." && pwd)
commit=$(git -C "$clone" rev-parse --verify --quiet "${1:-$first_release}^{commit}") || commit=${1:-$first_release}

build() {
  local sources=$cache/run/former-worker
  git -C "$clone" cat-file -e "$commit^{commit}" 2>/dev/null ||
    fail "commit $commit is not in this clone's history" "git fetch --unshallow, or --tags"
  # Nobody else builds in this target, or in this folder, meanwhile.
  mkdir -p "$CARGO_TARGET_DIR"
  exec 8>>"$CARGO_TARGET_DIR/sources.lock"
  flock 8
  rm -rf "$sources"
  mkdir -p "$sources"
  git -C "$clone" archive "$commit" | tar -x -m -C "$sources"
  quietly "building the worker of ${commit:0:7}" cargo build --release --locked --workspace --all-features \
    --bin balance-worker --manifest-path "$sources/Cargo.toml"
  cp "$CARGO_TARGET_DIR/release/balance-worker" "$1/"
  rm -rf "$sources"
}

folder=$(cached former-worker "${commit:0:16}" build)
echo "$folder/balance-worker"
