#!/usr/bin/env bash
# Compiles the binaries that go into the images. Leaves alone what is up to date.
#
#   e2e/images/binaries.sh [IMAGE…]      (default: those of all images)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
. "$here/images.sh"
usage_when_asked "$@"
only=("$@")
# The whole workspace, as the tests do: with a part of it the dependencies would be built again with fewer features.
binaries=(--bin verify --bin labs)
add() { binaries+=(--bin "$3"); }
each_image add
quietly "building the binaries" "$e2e/scripts/cargo.sh" build --release --locked --workspace --all-features "${binaries[@]}"
