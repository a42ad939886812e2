#!/usr/bin/env bash
# Deletes the cluster that up.sh created and stops the Docker Engine that up.sh started. A user's engine keeps running, and
# so does one that other containers use.
#
#   e2e/cluster/down.sh [--keep-engine]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment

take_down() {
  if cluster_exists; then
    progress "deleting the cluster"
    kind delete cluster --quiet --name "$CLUSTER" --kubeconfig "$CLUSTER_KUBECONFIG"
  fi
  rm -f "$CLUSTER_KUBECONFIG"
  [[ ${1:-} == --keep-engine ]] || release_engine
}

alone take_down "$@"
