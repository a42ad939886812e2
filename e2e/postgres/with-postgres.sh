#!/usr/bin/env bash
# Starts a real PostgreSQL server for a command, runs it, and then stops the server whatever happened.
#
#   e2e/postgres/with-postgres.sh COMMAND…
#
# COMMAND sees BALANCEFLEET_TEST_POSTGRES (postgres://…, as the owner of an empty database) and
# BALANCEFLEET_TEST_POSTGRES_CA (the file with the CA of the server's certificate).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "e2e/postgres/with-postgres.sh --help"

# Outside the home directory, which the server's user may have no access to.
dir=$(mktemp -d /tmp/balancefleet-postgres.XXXXXX)
chmod 755 "$dir"
stop() {
  "$here/local.sh" stop --dir "$dir"
  rm -rf "$dir"
}
# A failed start keeps its logs.
trap '"$here/local.sh" stop --dir "$dir"' EXIT
"$here/local.sh" start --dir "$dir"
trap - EXIT

BALANCEFLEET_TEST_POSTGRES=$(<"$dir/url")
BALANCEFLEET_TEST_POSTGRES_CA=$dir/ca.crt
export BALANCEFLEET_TEST_POSTGRES BALANCEFLEET_TEST_POSTGRES_CA
run_then stop "$@"
