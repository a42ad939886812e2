#!/usr/bin/env bash
# Calls Docker Compose for what `make compose` has started: with its project, its file, its images and ports, and its engine.
#
#   e2e/compose/compose.sh ARGUMENT…
#
#   e2e/compose/compose.sh ps                        containers and their health
#   e2e/compose/compose.sh logs --follow worker-1
#   e2e/compose/compose.sh kill worker-2             kill -9; it stays dead
#   e2e/compose/compose.sh stop worker-2             SIGTERM: it leaves the group at once
#   e2e/compose/compose.sh start worker-2
#   e2e/compose/compose.sh up -d orders-2 orders-3   two more consumers of orders
#   e2e/compose/compose.sh exec kafka /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --list
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment
use_settings

find_compose || fail "Docker Compose is missing" "e2e/scripts/prerequisites.sh compose"
case ${1:-} in
  config | version | help | '') ;;
  *) engine_answers || fail "no Docker Engine answers" "make compose" ;;
esac
compose "$@"
