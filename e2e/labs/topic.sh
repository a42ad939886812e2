#!/usr/bin/env bash
# Creates a Kafka topic and describes it, with Kafka's own tool. A topic that exists is only described.
#
#   e2e/labs/topic.sh --topic T [--partitions N]
#   make topic TOPIC=orders PARTITIONS=6
#
#   --topic T              its name: letters, digits, '.', '_' and '-'
#   --partitions N         of a new topic (default 6)
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
option[partitions]=6
read_options "topic partitions" "" "$@"
topic=${option[topic]:-} partitions=${option[partitions]}
[[ -n $topic ]] || fail "which topic?" "make topic TOPIC=orders"
[[ $topic =~ ^[A-Za-z0-9._-]{1,249}$ && $topic != . && $topic != .. ]] ||
  fail "$topic is no name of a topic" "use letters, digits, '.', '_' and '-'"
[[ $partitions =~ ^[1-9][0-9]{0,4}$ ]] || fail "$partitions partitions: expected a number from 1" "make topic TOPIC=$topic PARTITIONS=6"
find_fleet

description=$(mktemp -t balancefleet-topic.XXXXXX)
trap 'rm -f "$description"' EXIT
describe() { kafka_tool kafka-topics.sh --describe --topic "$topic" >"$description" 2>&1; }

if describe; then
  there=$(sed -nE '1,/PartitionCount/ s/.*PartitionCount: ([0-9]+).*/\1/p' "$description")
  progress "the topic $topic exists, with $there partition(s)$([[ $there == "$partitions" || -z ${option[partitions]:-} ]] || echo ": it keeps them")"
elif grep -q 'does not exist' "$description"; then
  kafka_tool kafka-topics.sh --create --topic "$topic" --partitions "$partitions" >"$description" 2>&1 ||
    fail "Kafka did not create the topic: $(grep -m 1 -E 'Error|Exception' "$description" || cat "$description")" "make topic TOPIC=other-name"
  progress "created the topic $topic with $partitions partition(s)"
  describe || fail "Kafka does not describe the topic: $(<"$description")" "make topic TOPIC=$topic"
else
  fail "Kafka does not answer: $(grep -m 1 -E 'rror|Exception' "$description" || cat "$description")" "make groups, or look at Kafka's log"
fi
cat "$description"
