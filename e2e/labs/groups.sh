#!/usr/bin/env bash
# Shows a consumer group as Kafka's own kafka-consumer-groups shows it; what it prints is not changed.
#
#   e2e/labs/groups.sh [--group G] [--members | --state | --list]
#   make groups                                    offsets and lag of each partition, with its owner
#   make groups GROUP=orders-consumer-group MEMBERS=yes
#
#   --group G              the consumer group (default balance-service)
#   --members              its members with their partitions, also those that have none
#   --state                its coordinator, assignor, state and number of members
#   --list                 the names of all groups
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
read_options "group" "members state list" "$@"
find_fleet

if [[ -n ${option[list]:-} ]]; then
  kafka_tool kafka-consumer-groups.sh --list
  exit
fi
work=$(mktemp -d -t balancefleet-groups.XXXXXX)
trap 'rm -rf "$work"' EXIT
status=0
kafka_tool kafka-consumer-groups.sh --describe --group "${option[group]}" ${option[members]:+--members --verbose} \
  ${option[state]:+--state} >"$work/output" 2>"$work/errors" || status=$?
# For a group that is unknown, the tool prints where in its code that was noticed, and succeeds.
if grep -qE '^Error: .*GroupIdNotFoundException' "$work/output"; then
  fail "Kafka knows no group ${option[group]}" "make groups LIST=yes shows those it knows"
fi
cat "$work/output"
cat "$work/errors" >&2
exit "$status"
