#!/usr/bin/env bash
# Builds the binaries and puts each into a small image: balancefleet/operator, /worker and /traffic (see images.sh).
#
#   e2e/images/build.sh [TAG [IMAGE…]]      (default: dev, and all images)
#
# With RELEASE=1, the worker is optimised as a whole and by a profile (release.sh), which takes about 20 minutes more.
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

"$here/binaries.sh" "${only[@]}"
released=${RELEASE:+$("$here/release.sh")}
root=$(runtime_root)
contexts=$(mktemp -d "$cache/images.XXXXXX")
trap 'rm -rf "$contexts"' EXIT

# property IMAGE FORMAT: of an image of the engine; nothing when there is no such image.
property() { docker image inspect --format "$2" "$1" 2>/dev/null || true; }

# The image that a new one replaces is not left behind.
image() {
  local reference=$1:$tag binary=$3 content former output files
  mapfile -t files < <(binaries_of "$binary")
  content=$({ cat "${files[@]}" "$here"/{Dockerfile,build.sh,images.sh} && echo "$root"; } | sha256sum | cut -c1-16)
  [[ $(property "$reference" '{{index .Config.Labels "content"}}') != "$content" ]] || return 0
  former=$(property "$reference" '{{.Id}}')
  mkdir "$contexts/$binary"
  write_context "$binary" "$root" "$contexts/$binary"
  output=$(docker build --quiet --label "content=$content" --tag "$reference" "$contexts/$binary" 2>&1) ||
    fail "the image $reference was not built: $output" "look at e2e/images/Dockerfile"
  [[ -z $former ]] || docker image rm "$former" >/dev/null 2>&1 || true
  progress "built $reference"
}
each_image image
