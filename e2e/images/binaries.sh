#!/usr/bin/env bash
# Compiles the binaries that go into the images. Leaves alone what is up to date.
#
#   e2e/images/binaries.sh
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
usage_when_asked "$@"
claim_target
# The whole workspace, as the tests do: with a part of it the dependencies would be built again with fewer features.
quietly "building the binaries" cargo build --release --locked --manifest-path "$e2e/../Cargo.toml" --workspace --all-features --bins
