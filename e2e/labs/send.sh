#!/usr/bin/env bash
# Sends your own messages to a Kafka topic, one per line, and says how many were acknowledged and where they are.
#
#   e2e/labs/send.sh [--topic T] [--key K] [--any] --message '{"transactionId":…}'
#   e2e/labs/send.sh [--topic T] [--key K] [--any] --file FILE      or: … <FILE
#   make send TOPIC=orders MESSAGE='{"orderId":"ORD-001","amount":99.99,"status":"NEW"}'
#   make send FILE=transactions.jsonl KEY=CUST-001
#
#   --topic T              a topic that exists (default banking.transactions)
#   --message M            one message (default: the lines of standard input)
#   --file F               the lines of a file; "-" is standard input
#   --key K                of all messages (default: none, Kafka's client chooses the partitions)
#   --any                  messages of any content: without it, a line that is no JSON object is pointed out first
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
#
# A blank line is no message. What the workers make of a message: docs/records.md.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
option[topic]=banking.transactions
read_options "topic message file key" "any" "$@"
[[ -z ${option[message]+given} || -z ${option[file]+given} ]] || fail "a message or a file, not both" "e2e/labs/send.sh --help"

messages() {
  if [[ -n ${option[message]+given} ]]; then
    printf '%s\n' "${option[message]}"
  elif [[ ${option[file]:--} != - ]]; then
    cat -- "${option[file]}"
  else
    [[ ! -t 0 ]] || progress "one message per line; end with Ctrl-D"
    cat
  fi
}
if [[ ${option[file]:--} != - && ! -r ${option[file]} ]]; then
  fail "cannot read ${option[file]}" "make send FILE=the/path/of/a/file"
fi
find_fleet
kafka=$(kafka_outside)
messages | labs send --bootstrap-servers "$kafka" --topic "${option[topic]}" ${option[key]+--key "${option[key]}"} ${option[any]:+--any}
