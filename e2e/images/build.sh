#!/usr/bin/env bash
# Builds the binaries and puts each into a small image: balancefleet/operator, /worker and /traffic (see images.sh).
#
#   e2e/images/build.sh [TAG [IMAGE…]]      (default: dev, and all images)
#
# Nothing is pulled. An image whose content is the same as before keeps its id.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
. "$here/images.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"
tag=${1:-dev}
only=("${@:2}")
docker info >/dev/null 2>&1 || fail "no Docker Engine answers" "e2e/cluster/up.sh"

binaries=()
collect() { binaries+=("$CARGO_TARGET_DIR/release/$3"); }
each_image collect
[[ ${#binaries[@]} -gt 0 ]] || fail "no image is called ${only[*]}" "look at e2e/images/images.sh"
"$here/binaries.sh" "${only[@]}"

root=$("$here/runtime-root.sh" "${binaries[@]}")
context=$(mktemp -d "$cache/images.XXXXXX")
trap 'rm -rf "$context"' EXIT
cp -rl "$root" "$context/root"

# property IMAGE FORMAT: of an image of the engine; nothing when there is no such image.
property() { docker image inspect --format "$2" "$1" 2>/dev/null || true; }

# Stripped: a third of the size, and panics still name their place. The image that a new one replaces is not left behind.
image() {
  local reference=$1:$tag binary=$CARGO_TARGET_DIR/release/$3 content former output
  content=$({ cat "$binary" "$here/Dockerfile" "$here/build.sh" && echo "$root"; } | sha256sum | cut -c1-16)
  [[ $(property "$reference" '{{index .Config.Labels "content"}}') != "$content" ]] || return 0
  former=$(property "$reference" '{{.Id}}')
  strip --strip-all -o "$context/$3" "$binary"
  { cat "$here/Dockerfile" && echo "ENTRYPOINT [\"/usr/local/bin/$3\"]"; } >"$context/Dockerfile"
  output=$(docker build --quiet --build-arg "binary=$3" --label "content=$content" --tag "$reference" "$context" 2>&1) ||
    fail "the image $reference was not built: $output" "look at e2e/images/Dockerfile"
  rm "$context/$3"
  [[ -z $former ]] || docker image rm "$former" >/dev/null 2>&1 || true
  progress "built $reference"
}
each_image image
