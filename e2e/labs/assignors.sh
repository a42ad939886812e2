#!/usr/bin/env bash
# Compares the three assignors: with each one, scales a group from 2 workers to 3, then shows all rebalances in one table.
#
#   e2e/labs/assignors.sh [--group G]
#   make assignors
#
#   --group G              the consumer group (default balance-service), with at least 3 partitions
#   --on cluster|compose   only the cluster: with Compose, workers keep the assignor of their start (KAFKA_ASSIGNOR)
#   --namespace N          the namespace of the BalanceConsumerGroup (default demo)
#
# All members of a group need the same assignor. So each change stops all workers (spec.kafka.consumer.assignorChange:
# Recreate). It takes about two minutes; send traffic meanwhile to see what stands still. In the end, replicas and assignor
# are as they were.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
read_options "group" "" "$@"
find_fleet
[[ $on == cluster ]] || fail "the workers of the Compose project keep the assignor they were started with" "make cluster-up, or make demo"
find_group

kube() { kubectl --namespace="${option[namespace]}" "$@"; }
patch() { kube patch bcg "$object" --type=merge --patch "$1" >/dev/null; }

# Prints a patch that puts fields back; JSON's null removes what was not there.
former() { jq -c "{spec: {$1}}" <<<"$before"; }
before=$(kube get bcg "$object" -o json | jq '{replicas: .spec.replicas} + (.spec.kafka.consumer | {assignor, assignorChange})')
assignor_before=$(kube get bcg "$object" -o 'jsonpath={.status.assignor}')
has_former_assignor() { [[ $(kube get bcg "$object" -o 'jsonpath={.status.assignor}') == "$assignor_before" ]]; }
folder=$(mktemp -d -t balancefleet-assignors.XXXXXX)
# The former assignor needs Recreate, too: assignorChange goes back last.
restore() {
  rm -rf "$folder"
  progress "back to $assignor_before"
  patch "$(former 'replicas, kafka: {consumer: {assignor}}')"
  wait_until 120 has_former_assignor ||
    fail "the workers do not run with $assignor_before again after 120 s" "kubectl describe bcg $object"
  patch "$(former 'kafka: {consumer: {assignorChange}}')"
}
trap restore EXIT

# runs ASSIGNOR WORKERS: whether so many workers run with it, and Kafka knows them.
runs() {
  [[ $(kube get bcg "$object" -o json | jq -r '.status | "\(.assignor) \(.members) \(.readyReplicas)"') == "$1 $2 $2" ]]
}
files=()
for assignor in CooperativeSticky Range RoundRobin; do
  progress "$assignor: two workers, then three"
  patch "{\"spec\": {\"replicas\": 2, \"kafka\": {\"consumer\": {\"assignor\": \"$assignor\", \"assignorChange\": \"Recreate\"}}}}"
  wait_until 120 runs "$assignor" 2 || fail "no two workers run with $assignor after 120 s" "kubectl describe bcg $object"
  sleep 5 # so that the rebalances of the start are over
  began=$(date --utc +%Y-%m-%dT%H:%M:%SZ)
  patch '{"spec": {"replicas": 3}}'
  wait_until 60 runs "$assignor" 3 || fail "the third worker does not run after 60 s" "kubectl describe bcg $object"
  sleep 5 # until what moved is processed again
  "$(dirname "$0")/history.sh" --on cluster --namespace "${option[namespace]}" --group "${option[group]}" \
    --since "$began" --save "$folder/$assignor.json" >/dev/null 2>&1 || fail "the workers' history cannot be read" "make history"
  files+=("$folder/$assignor.json")
done
labs history "${files[@]}"
