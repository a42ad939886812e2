# shellcheck shell=bash
# Shared by the cluster scripts, which source it. Includes scripts/lib.sh.
# shellcheck source=../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

export CLUSTER=balancefleet
# The private engine needs root, so it lives where root's services do. A user's engine is never touched.
export ENGINE=/run/balancefleet
export ENGINE_HOST=unix://$ENGINE/docker.sock
export CLUSTER_KUBECONFIG=$cache/kubeconfig

own_engine_runs() { is_process "$ENGINE/dockerd.pid" "$ENGINE/dockerd.pid"; }

engine_answers() { has docker && timeout 10 docker info >/dev/null 2>&1; }

# release_engine: stops the private engine. While containers of others run in it, it is left to whoever takes them down.
release_engine() {
  own_engine_runs || return 0
  if [[ -n $(docker ps --quiet) ]]; then
    progress "the Docker Engine keeps running: other containers use it (docker ps)"
    touch "$ENGINE/released"
  else
    "$e2e/cluster/engine.sh" stop
  fi
}

# use_cluster_environment: sets the variables of env.sh in the calling script.
use_cluster_environment() {
  export KUBECONFIG=$CLUSTER_KUBECONFIG PATH=$cache/bin:$PATH
  if own_engine_runs; then export DOCKER_HOST=$ENGINE_HOST; fi
}

cluster_exists() { has kind && engine_answers && kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; }

cluster_is_healthy() {
  [[ -f $CLUSTER_KUBECONFIG ]] && has kubectl &&
    [[ $(kubectl get --raw=/readyz --request-timeout=5s 2>/dev/null) == ok ]]
}

# alone COMMAND…: only one script at a time changes the engine or the cluster; the others wait. Processes that COMMAND
# starts must not inherit the lock, or they would hold it forever.
alone() {
  mkdir -p "$cache/run"
  exec 9>"$cache/run/cluster.lock"
  flock --nonblock 9 || { progress "waiting for another run that changes the cluster" && flock 9; }
  "$@" 9>&-
  exec 9>&-
}
