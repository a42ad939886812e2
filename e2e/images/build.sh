#!/usr/bin/env bash
# Builds the binaries and puts each into a small image: balancefleet/operator, /worker and /traffic (see images.sh).
#
#   e2e/images/build.sh [TAG]      (default: dev)
#
# Nothing is pulled. An image whose content is the same as before keeps its id.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
. "$here/images.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"
tag=${1:-dev}
docker info >/dev/null 2>&1 || fail "no Docker Engine answers" "e2e/cluster/up.sh"

arguments=() binaries=()
collect() {
  arguments+=(--package "$2" --bin "$3")
  binaries+=("$CARGO_TARGET_DIR/release/$3")
}
each_image collect
progress "building the binaries"
cargo build --quiet --release --locked --manifest-path "$e2e/../Cargo.toml" "${arguments[@]}" >&2

root=$("$here/runtime-root.sh" "${binaries[@]}")
context=$(mktemp -d "$cache/images.XXXXXX")
trap 'rm -rf "$context"' EXIT
cp -rl "$root" "$context/root"

# Stripped: the image is a third of the size, and panics still name their place.
image() {
  strip --strip-all -o "$context/$3" "$CARGO_TARGET_DIR/release/$3"
  { cat "$here/Dockerfile" && echo "ENTRYPOINT [\"/usr/local/bin/$3\"]"; } >"$context/Dockerfile"
  docker build --quiet --build-arg "binary=$3" --tag "$1:$tag" "$context" >/dev/null
  rm "$context/$3"
  progress "$1:$tag"
}
each_image image
