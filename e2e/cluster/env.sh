#!/usr/bin/env bash
# Prints the shell commands that point docker, kubectl, kind and helm at this project's cluster.
#
#   eval "$(e2e/cluster/env.sh)"
#
# They export DOCKER_HOST (only if up.sh started an engine), KUBECONFIG and PATH. The namespace of that KUBECONFIG is the
# demo's, demo, so that `kubectl get bcg` shows the demo's object; add -n for another one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"

if own_engine_runs; then printf 'export DOCKER_HOST=%q\n' "$ENGINE_HOST"; fi
printf 'export KUBECONFIG=%q\n' "$CLUSTER_KUBECONFIG"
# Evaluating the output twice extends PATH only once.
# shellcheck disable=SC2016 # the reader's shell expands them
printf 'case :$PATH: in *:%q:*) ;; *) export PATH=%q:"$PATH" ;; esac\n' "$cache/bin" "$cache/bin"
