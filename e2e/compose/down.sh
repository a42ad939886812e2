#!/usr/bin/env bash
# Removes what up.sh has started: containers, network and volumes, and the Docker Engine if up.sh started it and nothing
# else uses it.
#
#   e2e/compose/down.sh
#
# Images, build products and downloads stay, so the next start takes seconds; `make clean` removes them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment
use_settings

take_down() {
  if engine_answers; then
    find_compose || fail "Docker Compose is missing" "e2e/scripts/prerequisites.sh compose"
    quietly "removing containers, network and volumes" compose --profile orders down --volumes --remove-orphans --timeout 10
  fi
  rm -f "$written_settings"
  if [[ -n ${ENGINE_STARTED:-} || -e $ENGINE/released ]]; then release_engine; fi
}

alone take_down
progress "it is removed; images, build products and downloads stay"
