#!/usr/bin/env bash
# Runs the whole product: a kind cluster, a real Kafka, the operator, one BalanceConsumerGroup with six partitions, and
# a day of e-banking traffic during which one worker is killed (kill -9). Checks all balances at the end.
#
#   e2e/demo/demo.sh [ARGUMENT OF traffic day…]      for example: --black-friday 60s
#
# Times in [ ] count from the start of this script. Ctrl-C ends the traffic cleanly; everything else stays up. To remove it:
# make demo-down.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

namespace=demo group=balance-service topic=banking.transactions api=http://127.0.0.1:18080
traffic=$CARGO_TARGET_DIR/release/traffic verify=$CARGO_TARGET_DIR/release/verify
log=$cache/run/demo-traffic.log
kube() { kubectl --namespace "$namespace" "$@"; }
status() { kube get bcg "$group" -o "jsonpath={.status.$1}" 2>/dev/null || true; }

prepare() {
  progress "6 steps: cluster, Kafka, images, charts, a day of traffic (59 s), check of all balances"
  progress "on 2 cores about a minute and a half when everything is built, 16 to 26 minutes from nothing"
  "$e2e/scripts/prerequisites.sh" rust kafka cluster
  # Cluster and Kafka leave the processors idle for a third of the time. The step that needs the binaries waits for this
  # build, and repeats what it had to say if it failed.
  begin "$e2e/images/binaries.sh" 2>/dev/null
  trap 'kill -TERM -- "-$job" 2>/dev/null' EXIT
  "$e2e/cluster/up.sh" >/dev/null
  eval "$("$e2e/cluster/env.sh")"
  "$here/install.sh"
  finish || fail "the binaries were not built" "e2e/images/binaries.sh"
  trap - EXIT
  mkdir -p "$(dirname "$log")"
}

# Creates the topic first: a group without its topic reports that and checks again only after a while.
apply_group() {
  "$traffic" produce --count 0 --topic "$topic" --partitions 6 >/dev/null 2>"$log" ||
    fail "the topic was not created: $(tail -n 1 "$log")" "e2e/kafka/deploy.sh"
  kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace" >/dev/null
  remove_large_fleet
  kube apply -f "$here/api-service.yaml" -f "$e2e/../config/samples/demo.yaml" >/dev/null
  renew_workers
  kube wait "bcg/$group" --for=condition=Ready --timeout=120s >/dev/null ||
    fail "the group did not become ready: $(status 'conditions[?(@.type=="Ready")].message')" "kubectl describe bcg -n $namespace"
  progress "the group is ready: $(status partitions) partitions, $(status readyReplicas) worker(s)"
}

# The fleet of a run before may not have returned to one worker yet. What it has stored stays.
remove_large_fleet() {
  local replicas
  replicas=$(kube get bcg "$group" --ignore-not-found -o 'jsonpath={.status.replicas}')
  ((${replicas:-0} > 1)) || return 0
  progress "starting the fleet again, with one worker"
  kube delete bcg "$group" >/dev/null
  kube wait pods --selector "balancefleet.io/group=$group" --for=delete --timeout=60s >/dev/null
}

# The tag of the worker image stays "dev", so pods of an earlier build are replaced here if the image is newer.
renew_workers() {
  local image former
  image=$(docker image inspect --format '{{.Id}}' balancefleet/worker:dev)
  former=$(kube get bcg "$group" -o "jsonpath={.metadata.annotations.demo-worker-image}")
  [[ $former != "$image" ]] || return 0
  kube annotate bcg "$group" "demo-worker-image=$image" --overwrite >/dev/null
  [[ -n $former ]] || return 0
  progress "replacing workers of an earlier build"
  kube rollout restart "deployment/$group" >/dev/null
  kube rollout status "deployment/$group" --timeout=180s >/dev/null
}

# The terminal shows kubectl's own watch; between its lines, the traffic generator announces each part of the day, and the
# operator explains each decision.
run_day() {
  local status=0
  trap 'interrupted=yes' INT TERM
  # In a process group of its own: the terminal's Ctrl-C would be its second signal, and the second ends it at once.
  set -m
  "$traffic" day --topic "$topic" --customers 2000 --skew 0.5 --run-id "$(date +%s)" --seed "$(date +%s)" \
    --first-timestamp "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$@" 2>"$log" &
  traffic_pid=$!
  set +m
  # Not through kube(): the process to stop is kubectl itself.
  kubectl --namespace "$namespace" get bcg "$group" --watch 2>/dev/null &
  watch_pid=$!
  kubectl --namespace "$namespace" get bcg "$group" --watch -o 'jsonpath={.status.scaling.explanation}{"\n"}' > >(tell_decisions) 2>/dev/null &
  decisions_pid=$!
  kill_a_worker &
  killer_pid=$!
  wait "$traffic_pid" || status=$?
  # An interrupted wait does not mean that the child has ended: pass the signal on and wait again.
  while kill -0 "$traffic_pid" 2>/dev/null; do
    kill -INT "$traffic_pid" 2>/dev/null || true
    status=0
    wait "$traffic_pid" || status=$?
  done
  ((status == 0)) || fail "the traffic ended early: $(tail -n 1 "$log")" "look at $log"
}

# tell_decisions: of lines with the sentence that the status shows, prints those that are new; the first is of a decision
# before the day.
tell_decisions() {
  local sentence last
  read -r last
  while read -r sentence; do
    [[ -z $sentence || $sentence == "$last" ]] || progress "$sentence"
    last=$sentence
  done
}

# Kills one worker when the fleet is at its largest: no grace period, no clean exit.
kill_a_worker() {
  local report
  until [[ $(status readyReplicas) == 6 ]]; do sleep 1; done
  report=$("$e2e/labs/kill-worker.sh" --on cluster --group "$group" --namespace "$namespace")
  progress "${report%%$'\n'*}"
}

stop_watch() {
  [[ -z ${watch_pid:-} ]] || kill "$watch_pid" "$decisions_pid" 2>/dev/null || true
  [[ -z ${killer_pid:-} ]] || kill "$killer_pid" 2>/dev/null || true
  [[ -z ${traffic_pid:-} ]] || kill -INT "$traffic_pid" 2>/dev/null || true
}

print_what_next() {
  cat <<END

API      $api/api/Balance/balances
Swagger  $api/swagger
Metrics  $api/metrics

  eval "\$(e2e/cluster/env.sh)"                 # kubectl, helm and docker for this cluster and its namespace $namespace
  kubectl get bcg -o wide                       # lag, state, members, reason
  kubectl describe bcg $group          # the last decision with its numbers, conditions, events
  kubectl logs -n balancefleet-system deployment/balancefleet-operator | grep decided    # every decision
  kubectl scale bcg/$group --replicas=4    # a fixed number of workers, and back to automatic scaling:
  kubectl patch bcg $group --type=merge -p '{"spec":{"replicas":null}}'

  make groups       # the group as Kafka's own tool shows it
  make history      # all workers' rebalances on one time line
  make send         # your own messages: make send MESSAGE='…'
  make kill-worker  # kill -9 of another one
  make demo         # run it again
  make demo-down    # remove it
END
}

prepare
apply_group
trap stop_watch EXIT
progress "running a day of traffic; its figures are in $log"
run_day "$@"
[[ -n ${interrupted:-} ]] || "$verify" --api "$api" --topic "$topic" --patience 60s 2>>"$log" ||
  fail "balances could not be confirmed" "$verify --api $api"
stop_watch
trap - EXIT
print_what_next
[[ -z ${interrupted:-} ]] || exit 130
progress "done; the fleet returns to one worker when that has been enough for 30 s: kubectl get bcg --watch"
