#!/usr/bin/env bash
# Runs the end-to-end tests on the running cluster, with the product of this checkout installed by Helm.
#
#   e2e/run.sh [ARGUMENT OF THE TESTS…]      for example: a_killed_process
#
# Start the cluster first (make cluster-up), or let `make e2e` do everything.
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

"$e2e/demo/install.sh"
# Two at a time: they mostly wait for the cluster, but more would compete for its cores.
"$e2e/scripts/cargo.sh" test --quiet --release --locked --workspace --all-features --test fleet -- --test-threads=2 "$@"
