#!/usr/bin/env bash
# Brings up the kind cluster "balancefleet" and prints how to use it; returns at once when it is up.
#
#   e2e/cluster/up.sh
#
# Installs what is missing (as root), sees to a Docker Engine, to kind, helm and kubectl, and to a node image. The cluster has
# a kubeconfig of its own; ~/.kube/config stays as it is. Ports of 127.0.0.1 that lead into it are listed in kind.yaml.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment

create() {
  local image config=$cache/run/kind.yaml
  image=$("$here/node/image.sh")
  cp "$here/kind.yaml" "$config"
  # Our own image brings its network; the published one has kind's.
  [[ $image != balancefleet/* ]] || sed -i 's/^networking:/&\n  disableDefaultCNI: true/' "$config"
  quietly "creating the cluster" kind create cluster --name "$CLUSTER" --image "$image" --config "$config" \
    --kubeconfig "$CLUSTER_KUBECONFIG" --wait 120s
}

bring_up() {
  # Whoever had to wait for another run finds its cluster.
  if cluster_is_healthy; then return; fi
  "$e2e/scripts/prerequisites.sh" cluster
  "$here/engine.sh" start
  use_cluster_environment
  "$here/tools.sh"
  if cluster_exists; then
    # A lost kubeconfig can be had again; a node that was stopped is quicker made than mended.
    kind export kubeconfig --quiet --name "$CLUSTER" --kubeconfig "$CLUSTER_KUBECONFIG" || true
    if cluster_is_healthy; then return; fi
    progress "the cluster does not answer: deleting it"
    kind delete cluster --quiet --name "$CLUSTER" --kubeconfig "$CLUSTER_KUBECONFIG"
  fi
  create
  cluster_is_healthy || fail "the cluster was created but its API does not answer" "docker logs $CLUSTER-control-plane"
}

if ! cluster_is_healthy; then alone bring_up; fi
progress "the cluster is up; to use it: eval \"\$(e2e/cluster/env.sh)\""
"$here/env.sh"
