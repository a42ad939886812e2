#!/usr/bin/env bash
# Kills one worker's process with SIGKILL (kill -9), or stops it as planned with SIGTERM. The image has no shell: on the
# cluster, the signal comes from the pod's node; with Compose, from the Docker Engine.
#
#   e2e/labs/kill-worker.sh [--worker NAME] [--stop] [--group G]
#   make kill-worker                               a random one
#   make kill-worker WORKER=worker-2 STOP=yes
#
#   --worker NAME          the pod, or the container or service of Compose (default: a random one)
#   --stop                 a planned stop: the worker hands its partitions over and leaves the group. On the cluster, its
#                          pod is deleted
#   --group G              the consumer group (default balance-service)
#   --on cluster|compose   where (default $ON, else the one that runs; the cluster if both do)
#   --namespace N          on the cluster, the namespace of the BalanceConsumerGroup (default demo)
#
# On the cluster a new worker takes its place. With Compose the container stays stopped: e2e/compose/compose.sh start NAME.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage_when_asked "$@"
read_options "worker group" "stop" "$@"
find_fleet

find_group

# choose: the JSON of one worker.
choose() {
  local wanted=${option[worker]:-}
  if [[ -z $wanted ]]; then
    shuf -n 1 <<<"$workers"
  else
    jq -sec --arg wanted "${wanted#pod/}" 'map(select(.name == $wanted or .service == $wanted)) | first' <<<"$workers" ||
      fail "the group ${option[group]} has no worker $wanted; it has: $(jq -sr 'map(.name) | join(", ")' <<<"$workers")" \
        "make kill-worker WORKER=one-of-these"
  fi
}
chosen=$(choose)
worker=$(jq -r .name <<<"$chosen")

# partitions: what it has, in words.
partitions() {
  ask "$(jq -r .address <<<"$chosen")" /api/Balance/metrics 2>/dev/null | jq -r '.assignedPartitions | map(tostring)
    | if length == 0 then "no partition" elif length == 1 then "partition \(.[0])" else "partitions \(join(", "))" end' ||
    echo "its partitions"
}

# kill_on_cluster: from the node, whose containerd knows the process.
kill_on_cluster() {
  docker exec "$(jq -r .node <<<"$chosen")" ctr --namespace=k8s.io tasks kill --signal=SIGKILL "$(jq -r .container <<<"$chosen")"
}
# delete_pod: it gets SIGTERM and its grace period.
delete_pod() { kubectl delete pod "$worker" --namespace="${option[namespace]}" --wait=false >/dev/null; }
signal_container() { docker kill --signal="$1" "$worker" >/dev/null; }

had=$(partitions)
if [[ -n ${option[stop]:-} ]]; then
  if [[ $on == cluster ]]; then delete_pod; else signal_container SIGTERM; fi
  echo "stopped $worker (SIGTERM), which had $had: it commits and leaves the group, and others take over at once"
else
  if [[ $on == cluster ]]; then kill_on_cluster; else signal_container SIGKILL; fi
  echo "killed $worker (kill -9), which had $had: nobody processes that until its session timeout, $session_timeout, is over"
fi
there="${option[on]:+ ON=$on} GROUP=${option[group]}"
echo "to watch: make groups$there, make history$there, make lag FOR=30s$there"
[[ $on == cluster ]] || echo "to start it again: e2e/compose/compose.sh start $(jq -r .service <<<"$chosen")"
