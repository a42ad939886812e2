#!/usr/bin/env bash
# Prints the folder of PostgreSQL's server binaries (initdb, pg_ctl, postgres) of version MINIMUM or newer.
#
#   e2e/postgres/bin.sh [MINIMUM]      (default 15)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

minimum=${1:-15}
# Debian keeps one folder per version, outside PATH.
for folder in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /)")"; do
  [[ -x $folder/initdb && -x $folder/postgres ]] || continue
  version=$("$folder/postgres" --version | grep -oE '[0-9]+' | head -n 1)
  ((version >= minimum)) || continue
  echo "$folder"
  exit
done
fail "PostgreSQL $minimum is missing" "e2e/scripts/prerequisites.sh postgres"
