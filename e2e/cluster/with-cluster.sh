#!/usr/bin/env bash
# Runs a command with the cluster up, then leaves the machine as it was: only what this script started is taken down.
#
#   e2e/cluster/with-cluster.sh COMMAND…
#
# COMMAND sees DOCKER_HOST, KUBECONFIG and PATH as e2e/cluster/env.sh sets them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "e2e/cluster/with-cluster.sh --help"
use_cluster_environment

# The state to restore.
engine_was_up=no cluster_was_up=no
if engine_answers; then engine_was_up=yes; fi
if cluster_is_healthy; then cluster_was_up=yes; fi

restore() {
  [[ $cluster_was_up == no ]] || return 0
  if [[ $engine_was_up == yes ]]; then "$here/down.sh" --keep-engine; else "$here/down.sh"; fi
}
trap restore EXIT
"$here/up.sh" >/dev/null
trap - EXIT
use_cluster_environment
run_then restore "$@"
