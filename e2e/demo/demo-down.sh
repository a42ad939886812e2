#!/usr/bin/env bash
# Removes everything the demo created: the cluster with its contents, and the Docker Engine that was started for it.
#
#   e2e/demo/demo-down.sh
#
# Build products and downloads stay in the cache, so the next demo starts quickly; `make clean` removes them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

"$e2e/cluster/down.sh"
rm -f "$cache/run/demo-traffic.log"
progress "the demo is removed; build products and downloads stay in $cache"
