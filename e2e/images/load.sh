#!/usr/bin/env bash
# Loads images from the Docker Engine into the cluster's nodes. Skips an image that a node has with the same content.
#
#   e2e/images/load.sh [IMAGE…]      (default: the images of build.sh with the tag dev)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
. "$here/images.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

images=("$@")
add() { images+=("$1:dev"); }
[[ $# -gt 0 ]] || each_image add

mapfile -t nodes < <(kind get nodes --name balancefleet 2>/dev/null)
[[ ${#nodes[@]} -gt 0 ]] || fail "the cluster is not up" "e2e/cluster/up.sh"

# containerd uses another id for the same image, so the engine's id is stored with it as a label.
load() {
  local node=$1 image=$2 id reference=docker.io/$2
  id=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null) || fail "image $image not found" "e2e/images/build.sh"
  if [[ $(docker exec "$node" ctr --namespace k8s.io images list "name==$reference") == *"balancefleet.io/id=$id"* ]]; then return; fi
  progress "loading $image into $node"
  docker save "$image" | docker exec --interactive "$node" ctr --namespace k8s.io images import - >/dev/null
  docker exec "$node" ctr --namespace k8s.io images label "$reference" "balancefleet.io/id=$id" >/dev/null
}
for node in "${nodes[@]}"; do
  for image in "${images[@]}"; do load "$node" "$image"; done
done
