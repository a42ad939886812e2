#!/usr/bin/env bash
# Runs a command with Docker Compose v2, the plugin `docker compose`, built from the Go modules of v2/ if it is not there yet.
#
#   e2e/compose/with-v2.sh COMMAND…      for example: e2e/compose/test.sh
#
# The build takes minutes the first time. To raise the version: go get -tool <program>@<version> && go mod tidy in v2/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "e2e/compose/with-v2.sh --help"
program=github.com/docker/compose/v2

# Otherwise it would call itself "dev".
build() {
  local version
  version=$(awk -v program="$program" '$1 == program { print $2 }' "$here/v2/go.mod")
  mkdir "$1/cli-plugins"
  CGO_ENABLED=0 go -C "$here/v2" build -trimpath -buildvcs=false -ldflags "-s -w -X $program/internal.Version=$version" \
    -o "$1/cli-plugins/docker-compose" "$program/cmd"
}
if docker compose version >/dev/null 2>&1; then exec "$@"; fi
has go || fail "go is missing" "e2e/scripts/prerequisites.sh charts"
DOCKER_CONFIG=$(cached docker-compose "$(content_hash "$here/v2" "$here/with-v2.sh")" quietly "building Docker Compose v2" build)
export DOCKER_CONFIG
exec "$@"
