#!/usr/bin/env bash
# The end-to-end tests on the running cluster, with the product of this checkout installed by Helm.
#
#   e2e/run.sh [ARGUMENT OF THE TESTS…]      for example: a_killed_process
#
# Bring the cluster up first (make cluster-up), or let `make e2e` do all of it.
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

"$e2e/demo/install.sh"
claim_target
# Two at a time: they wait for the cluster most of the time, but more would fight for its cores.
cargo test --quiet --release --locked --manifest-path "$e2e/../Cargo.toml" --workspace \
  --all-features --test fleet -- --test-threads=2 "$@"
