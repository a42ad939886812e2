#!/usr/bin/env bash
# Runs a command beside a real PostgreSQL server of its own, and stops the server afterwards, whatever happened.
#
#   e2e/postgres/with-postgres.sh COMMAND…
#
# COMMAND sees BALANCEFLEET_TEST_POSTGRES (postgres://…, the owner of an empty database) and BALANCEFLEET_TEST_POSTGRES_CA (the
# authority of its certificate, a file).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "which command?" "e2e/postgres/with-postgres.sh --help"

# Not below the home directory, which the server's own user may not enter.
dir=$(mktemp -d /tmp/balancefleet-postgres.XXXXXX)
chmod 755 "$dir"
stop() {
  "$here/local.sh" stop --dir "$dir"
  rm -rf "$dir"
}
# A start that fails leaves its logs for the reader.
trap '"$here/local.sh" stop --dir "$dir"' EXIT
"$here/local.sh" start --dir "$dir"
trap - EXIT

BALANCEFLEET_TEST_POSTGRES=$(<"$dir/url")
BALANCEFLEET_TEST_POSTGRES_CA=$dir/ca.crt
export BALANCEFLEET_TEST_POSTGRES BALANCEFLEET_TEST_POSTGRES_CA
run_then stop "$@"
