#!/usr/bin/env bash
# Deploys one Kafka broker to the cluster and waits until it answers. Changes nothing if the broker is up to date.
#
#   e2e/kafka/deploy.sh
#
# Pods reach it at kafka.kafka.svc:9092 (with authentication at :9093), this machine at 127.0.0.1:19092.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

# speaks_kafka PORT: an ApiVersions request gets an answer. An open port proves nothing: the engine's proxy holds it.
speaks_kafka() {
  local request='\0\0\0\12\0\22\0\0\0\0\0\1\377\377'
  # shellcheck disable=SC2059 # the format is the message
  (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "$request" >&3 && [[ $(timeout 2 head -c 8 <&3 | wc -c) -eq 8 ]]) 2>/dev/null
}

"$here/image.sh"
"$e2e/images/load.sh" balancefleet/kafka:4.4.0

configuration=$(mktemp -t balancefleet-kafka.XXXXXX)
trap 'rm -f "$configuration"' EXIT
cat "$here/broker.properties" "$here/cluster/listeners.properties" >"$configuration"

# A new image or new settings need a new broker: their fingerprint in the pod template makes Kubernetes replace the pod.
fingerprint=$( (docker image inspect --format '{{.Id}}' balancefleet/kafka:4.4.0 && cat "$configuration") | sha256sum | cut -c1-16)
{
  cat "$here/cluster/namespace.yaml"
  echo ---
  kubectl create configmap kafka --namespace=kafka --from-file=server.properties="$configuration" --dry-run=client -o yaml
  echo ---
  cat "$here/cluster/services.yaml"
  echo ---
  sed "s/^      labels: {app: kafka}/&\n      annotations: {balancefleet.io\/fingerprint: \"$fingerprint\"}/" "$here/cluster/broker.yaml"
} | kubectl apply --server-side --force-conflicts --field-manager=balancefleet-e2e -f - >/dev/null

[[ $(kubectl get statefulset kafka --namespace=kafka -o jsonpath='{.status.readyReplicas}{.status.currentRevision}') == \
  "1$(kubectl get statefulset kafka --namespace=kafka -o jsonpath='{.status.updateRevision}')" ]] || progress "waiting for Kafka in the cluster"
kubectl rollout status statefulset/kafka --namespace=kafka --timeout=120s >/dev/null ||
  fail "Kafka did not become ready: $(kubectl logs kafka-0 --namespace=kafka --tail=3 2>&1)" "kubectl describe pod kafka-0 --namespace=kafka"
wait_until 30 speaks_kafka 19092 || fail "nothing answers at 127.0.0.1:19092" "kubectl get endpoints --namespace=kafka"
progress "Kafka answers at 127.0.0.1:19092"
