#!/usr/bin/env bash
# Removes all that the demo made: the cluster with everything in it, and the Docker Engine that was started for it.
#
#   e2e/demo/demo-down.sh
#
# What was built and downloaded stays in the cache, so that the next demo starts quickly; `make clean` removes that.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

"$e2e/cluster/down.sh"
rm -f "$cache/run/demo-traffic.log"
progress "the demo is gone; what was built stays in $cache"
