#!/usr/bin/env bash
# Starts the kind cluster "balancefleet" and prints how to use it. Returns at once if the cluster is up.
#
#   e2e/cluster/up.sh
#
# Installs missing prerequisites (as root) and provides a Docker Engine, kind, helm, kubectl and a node image. The
# cluster has its own kubeconfig; ~/.kube/config does not change. kind.yaml lists its ports on 127.0.0.1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment

create() {
  local image config=$cache/run/kind.yaml
  image=$("$here/node/image.sh")
  cp "$here/kind.yaml" "$config"
  # Our own image includes a network plugin; the published one uses kind's.
  [[ $image != balancefleet/* ]] || sed -i 's/^networking:/&\n  disableDefaultCNI: true/' "$config"
  quietly "creating the cluster" kind create cluster --name "$CLUSTER" --image "$image" --config "$config" \
    --kubeconfig "$CLUSTER_KUBECONFIG" --wait 120s
}

bring_up() {
  # A run that waited for another one finds the cluster up.
  if cluster_is_healthy; then return; fi
  "$e2e/scripts/prerequisites.sh" cluster
  "$here/engine.sh" start
  use_cluster_environment
  "$here/tools.sh"
  if cluster_exists; then
    # A lost kubeconfig can be exported again; a stopped node is faster to recreate than to repair.
    kind export kubeconfig --quiet --name "$CLUSTER" --kubeconfig "$CLUSTER_KUBECONFIG" || true
    if cluster_is_healthy; then return; fi
    progress "the cluster does not answer: deleting it"
    kind delete cluster --quiet --name "$CLUSTER" --kubeconfig "$CLUSTER_KUBECONFIG"
  fi
  create
  cluster_is_healthy || fail "the cluster was created but its API does not answer" "docker logs $CLUSTER-control-plane"
}

# Whoever types kubectl means the demo, also before it has run. No script of this project relies on the default namespace.
choose_namespace() {
  if grep -q '^    namespace: demo$' "$CLUSTER_KUBECONFIG"; then return; fi
  kubectl get namespace demo >/dev/null 2>&1 || kubectl create namespace demo >/dev/null
  kubectl config set-context --current --namespace=demo >/dev/null
}

if ! cluster_is_healthy; then alone bring_up; fi
choose_namespace
progress "the cluster is up; to use it: eval \"\$(e2e/cluster/env.sh)\""
"$here/env.sh"
