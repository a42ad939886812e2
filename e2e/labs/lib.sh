# shellcheck shell=bash
# Shared by the scripts of this folder, which source it: where the fleet runs, its workers and its Kafka. Includes
# cluster/lib.sh and scripts/lib.sh.
#
# A fleet runs on the cluster of the demo (e2e/demo/demo.sh) or in the project of config/compose. All scripts take:
#
#   --on cluster|compose   which of them (default $ON, else the one that runs; the cluster if both do)
#   --namespace N          on the cluster, the namespace of the BalanceConsumerGroup (default demo)
# shellcheck source=../cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib.sh"

PROJECT=${COMPOSE_PROJECT_NAME:-balancefleet}

# The options of the command line by name, without the dashes; a flag that is given is "yes".
declare -A option=([on]=${ON:-} [namespace]=demo [group]=balance-service)

# read_options "NAME…" "FLAG…" ARGUMENT…: fills the options; takes those of all scripts, these with a value, these flags.
read_options() {
  local with_value=" $1 on namespace " flags=" $2 " name
  shift 2
  while [[ $# -gt 0 ]]; do
    name=${1#--}
    [[ $1 == --?* ]] || fail "unexpected argument: $1" "$0 --help"
    if [[ $flags == *" $name "* ]]; then
      option[$name]=yes
      shift
    elif [[ $with_value == *" $name "* ]]; then
      [[ $# -ge 2 ]] || fail "$1 needs a value" "$0 --help"
      option[$name]=$2
      shift 2
    else
      fail "unknown option $1" "$0 --help"
    fi
  done
}

# find_fleet: sets $on to cluster or compose, and the environment for kubectl and docker.
find_fleet() {
  use_cluster_environment
  on=${option[on]}
  case $on in
    cluster) cluster_is_healthy || fail "the cluster does not run" "make demo" ;;
    compose) compose_runs || fail "the Compose project $PROJECT does not run" "make compose" ;;
    '')
      if cluster_is_healthy; then on=cluster; elif compose_runs; then on=compose; else fail_without_fleet; fi
      ;;
    *) fail "--on $on: expected cluster or compose" "$0 --help" ;;
  esac
}
fail_without_fleet() {
  engine_answers || fail "no Docker Engine answers, so neither the cluster nor the Compose project runs" \
    "start Docker, or make demo or make compose, which start an engine when run as root"
  fail "neither the cluster nor the Compose project runs" "make demo or make compose"
}

# containers ARGUMENT…: the ids of the project's containers that run; takes arguments of docker ps.
containers() { docker ps --quiet --filter "label=com.docker.compose.project=$PROJECT" "$@"; }
compose_runs() { has docker && [[ -n $(containers 2>/dev/null) ]]; }

# Kafka.

kafka_container() {
  local id
  id=$(containers --filter label=com.docker.compose.service=kafka)
  [[ -n $id ]] || fail "Kafka does not run in the Compose project" "docker ps --all --filter label=com.docker.compose.project=$PROJECT"
  echo "$id"
}

# kafka_tool NAME ARGUMENT…: runs one of Kafka's own command line tools where Kafka runs.
kafka_tool() {
  local tool=/opt/kafka/bin/$1 container
  shift
  if [[ $on == cluster ]]; then
    kubectl get pod kafka-0 --namespace=kafka >/dev/null 2>&1 || fail "Kafka does not run in the cluster" "e2e/kafka/deploy.sh"
    # The listener that is the same inside and outside of the pod.
    kubectl exec kafka-0 --namespace=kafka -- "$tool" --bootstrap-server 127.0.0.1:19092 "$@"
  else
    container=$(kafka_container)
    docker exec "$container" "$tool" --bootstrap-server kafka:9092 "$@"
  fi
}

# kafka_outside: the address of Kafka for programs of this machine.
kafka_outside() {
  local container
  if [[ $on == cluster ]]; then
    port_is_open 19092 || fail "Kafka does not answer at 127.0.0.1:19092" "e2e/kafka/deploy.sh"
    echo 127.0.0.1:19092
  else
    container=$(kafka_container)
    docker inspect "$container" | jq -er '[.[0].NetworkSettings.Ports | .[]? | .[]? | "127.0.0.1:\(.HostPort)"] | first' ||
      fail "Kafka publishes no port on this machine" "look at the service kafka in config/compose"
  fi
}

# program NAME: the path of a program of this workspace, which is compiled if it is not there.
program() {
  local path=$CARGO_TARGET_DIR/release/$1
  [[ -x $path ]] || "$e2e/images/binaries.sh"
  echo "$path"
}
# labs ARGUMENT…: the program behind these scripts (e2e/src/bin/labs.rs).
labs() {
  local path
  path=$(program labs)
  "$path" "$@"
}

# find_group: sets what is known of the group ${option[group]}, of which at least one worker must run:
#   object           on the cluster, the name of the BalanceConsumerGroup
#   workers          a JSON object per line: name, and address for ask(); on the cluster also node and container
#   ended            a JSON array of processes that ended: name, at
#   assignor         by Kafka's name; empty if unknown
#   session_timeout
find_group() {
  if [[ $on == cluster ]]; then find_group_on_cluster; else find_group_of_compose; fi
  [[ -n $workers ]] || fail "the group ${option[group]} has no worker that runs" "make groups, which shows its members"
}
# shellcheck disable=SC2034 # for the scripts that source this
find_group_on_cluster() {
  local objects found pods
  objects=$(kubectl get balanceconsumergroups --namespace="${option[namespace]}" -o json 2>&1) ||
    fail "the cluster has no BalanceConsumerGroup: $objects" "make demo"
  found=$(jq -ec --arg group "${option[group]}" \
    '[.items[] | select(.metadata.name == $group or .status.groupId == $group)] | first' <<<"$objects") ||
    fail "no group ${option[group]} in the namespace ${option[namespace]}; there: $(jq -r '[.items[].metadata.name]
      | if . == [] then "none" else join(", ") end' <<<"$objects")" "kubectl get bcg --all-namespaces"
  assignor=$(jq -r '.status.assignor // "" | {CooperativeSticky: "cooperative-sticky", Range: "range", RoundRobin: "roundrobin"}[.] // .' <<<"$found")
  object=$(jq -r .metadata.name <<<"$found")
  session_timeout=$(jq -r '.spec.kafka.consumer.sessionTimeout // "10s"' <<<"$found")
  pods=$(kubectl get pods --namespace="${option[namespace]}" -o json \
    --selector="balancefleet.io/group=$object")
  workers=$(jq -c '.items[] | select(.metadata.deletionTimestamp == null and .status.containerStatuses[0].state.running != null)
    | {name: .metadata.name, address: .metadata.name, node: .spec.nodeName,
       container: (.status.containerStatuses[0].containerID | ltrimstr("containerd://"))}' <<<"$pods")
  ended=$(jq -c '[.items[] | .metadata.name as $name | .status.containerStatuses[]? | (.state, .lastState) | .terminated?
    | select(.finishedAt != null) | {name: $name, at: .finishedAt}]' <<<"$pods")
}
# Who publishes the workers' port is one; its variables say the rest, or the worker's defaults.
# shellcheck disable=SC2034
find_group_of_compose() {
  local ids all
  mapfile -t ids < <(containers --all)
  all=$(docker inspect "${ids[@]}" | jq -c --arg group "${option[group]}" '.[]
    | (.Config.Env | map(split("=") | {key: .[0], value: (.[1:] | join("="))}) | map(select(.value != "")) | from_entries) as $variables
    | select(.HostConfig.PortBindings // {} | has("8080/tcp")) | select(($variables.KAFKA_GROUP_ID // "balance-service") == $group)
    | {name: .Name[1:], address: (.NetworkSettings.Ports["8080/tcp"]?[0].HostPort), running: .State.Running,
       service: .Config.Labels["com.docker.compose.service"], endedAt: .State.FinishedAt,
       assignor: ($variables.KAFKA_ASSIGNOR // "cooperative-sticky"), session: ($variables.KAFKA_SESSION_TIMEOUT // "10s")}')
  workers=$(jq -c 'select(.running)' <<<"$all")
  ended=$(jq -sc '[.[] | select(.endedAt | startswith("0001-") | not) | {name, at: .endedAt}]' <<<"$all")
  assignor=$(jq -sr 'first.assignor // ""' <<<"$workers")
  session_timeout=$(jq -sr 'first.session // "10s"' <<<"$workers")
}

# ask ADDRESS PATH: GET on one worker.
ask() {
  if [[ $on == cluster ]]; then
    kubectl get --raw "/api/v1/namespaces/${option[namespace]}/pods/$1:8080/proxy$2" --request-timeout=5s
  else
    curl --silent --show-error --fail --max-time 5 "http://127.0.0.1:$1$2"
  fi
}
