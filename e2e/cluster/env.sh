#!/usr/bin/env bash
# The environment in which docker, kubectl, kind and helm mean this project's cluster.
#
#   eval "$(e2e/cluster/env.sh)"
#
# Prints the lines that export DOCKER_HOST (only where up.sh started an engine), KUBECONFIG and PATH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"

if own_engine_runs; then printf 'export DOCKER_HOST=%q\n' "$ENGINE_HOST"; fi
printf 'export KUBECONFIG=%q\n' "$CLUSTER_KUBECONFIG"
# Evaluated twice, PATH grows once.
# shellcheck disable=SC2016 # the reader's shell expands them
printf 'case :$PATH: in *:%q:*) ;; *) export PATH=%q:"$PATH" ;; esac\n' "$cache/bin" "$cache/bin"
