#!/usr/bin/env bash
# Starts Kafka, three workers that keep balances, one that counts orders, and traffic with Docker Compose; waits for the first
# balance and prints what to look at. Needs no Kubernetes. Starts what is missing when it runs already.
#
#   e2e/compose/up.sh
#
# Installs missing prerequisites (as root), provides a Docker Engine, and builds the images that are not there. Variables of
# the environment, each also as `make compose NAME=VALUE`:
#
#   KAFKA_IMAGE              default: apache/kafka:4.4.0 if it is there or can be pulled, else balancefleet/kafka:4.4.0, built
#   WORKER_IMAGE TRAFFIC_IMAGE                        default: built from this checkout
#   KAFKA_PORT               default 9092, on 127.0.0.1 as all ports
#   WORKER_1_PORT WORKER_2_PORT WORKER_3_PORT         default 8080, 8081, 8082
#   ORDERS_1_PORT ORDERS_2_PORT ORDERS_3_PORT         default 18083, 18084, 18085
#   TRAFFIC_RATE             transactions per second, default 100, for an hour
#   KAFKA_ASSIGNOR BALANCE_SIGNS SIMULATED_WORK       settings of the three workers: balance-worker --help
#   COMPOSE_PROJECT_NAME     default balancefleet
#
# To remove it: make compose-down.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment
use_settings

PUBLISHED_KAFKA=apache/kafka:4.4.0 BUILT_KAFKA=balancefleet/kafka:4.4.0
# Seconds.
PULL_WITHIN=300 FIRST_BALANCE_WITHIN=180
# variable        default
PORTS='
KAFKA_PORT        9092
WORKER_1_PORT     8080
WORKER_2_PORT     8081
WORKER_3_PORT     8082
ORDERS_1_PORT     18083
'

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Ports first: a busy one would show only after the images are built.

is_ours() {
  [[ -n $(timeout 10 docker ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "publish=$1" 2>/dev/null) ]]
}

# holder_of PORT: " by PROGRAM (process N)", or by a container; nothing if the system does not say it.
holder_of() {
  local container process
  container=$(timeout 10 docker ps --filter "publish=$1" --format '{{.Names}}' 2>/dev/null | head -n 1) || true
  process=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -oE '"[^"]+",pid=[0-9]+' | head -n 1) || true
  if [[ -n $container ]]; then
    echo " by the container $container"
  elif [[ $process =~ ^\"(.*)\",pid=([0-9]+)$ ]]; then
    echo " by ${BASH_REMATCH[1]} (process ${BASH_REMATCH[2]})"
  fi
}

check_ports() {
  local variable port busy=()
  while read -r variable port; do
    [[ -n $variable ]] || continue
    port=${!variable:-$port}
    if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
      fail "$variable=$port is not a port" "choose a number from 1 to 65535"
    fi
    if ! port_is_open "$port" || is_ours "$port"; then continue; fi
    busy+=("$variable")
    printf 'error: port %s (%s) is in use%s\n' "$port" "$variable" "$(holder_of "$port")" >&2
  done <<<"$PORTS"
  ((${#busy[@]} == 0)) || fail "the ports above must be free" "stop what uses them, or choose others: make compose ${busy[0]}=$(free_port)"
}

# The images. Those that are given are found or pulled; the others are found or built.

given_image() {
  have_image "${!1}" || quietly "pulling ${!1}" timeout "$PULL_WITHIN" docker pull --quiet "${!1}" ||
    fail "the image ${!1} ($1) is not here and cannot be pulled" "docker pull ${!1}, or start without $1"
}

# One short question decides; a no is remembered for a day, since asking costs seconds where there is no network.
published_kafka_is_reachable() {
  local no=$cache/run/no-published-kafka
  [[ -z $(find "$no" -mmin -1440 2>/dev/null) ]] || return 1
  timeout 8 docker manifest inspect "$PUBLISHED_KAFKA" >/dev/null 2>&1 && return 0
  touch "$no"
  return 1
}

# Prints the name of the image.
kafka_image() {
  if [[ -n ${KAFKA_IMAGE:-} && $KAFKA_IMAGE != "$BUILT_KAFKA" ]]; then
    given_image KAFKA_IMAGE
    echo "$KAFKA_IMAGE"
    return
  fi
  if [[ -z ${KAFKA_IMAGE:-} ]]; then
    if have_image "$PUBLISHED_KAFKA"; then echo "$PUBLISHED_KAFKA" && return; fi
    if ! have_image "$BUILT_KAFKA" && published_kafka_is_reachable; then
      if quietly "pulling $PUBLISHED_KAFKA" timeout "$PULL_WITHIN" docker pull --quiet "$PUBLISHED_KAFKA" >&2; then
        echo "$PUBLISHED_KAFKA"
        return
      fi
    fi
    have_image "$BUILT_KAFKA" || progress "$PUBLISHED_KAFKA cannot be pulled here: building $BUILT_KAFKA"
  fi
  "$e2e/scripts/prerequisites.sh" kafka >&2
  "$e2e/kafka/image.sh" >&2
  echo "$BUILT_KAFKA"
}

provide_images() {
  local kafka_job chosen=$cache/run/compose-kafka-image.$BASHPID build=()
  # Beside the binaries: it waits for the network for most of its time.
  kafka_image >"$chosen" &
  kafka_job=$!
  # shellcheck disable=SC2064 # the names are meant to be fixed now
  trap "kill -TERM $kafka_job 2>/dev/null; rm -f '$chosen'" EXIT
  if [[ -n ${WORKER_IMAGE:-} ]]; then given_image WORKER_IMAGE; else build+=(balancefleet/worker); fi
  if [[ -n ${TRAFFIC_IMAGE:-} ]]; then given_image TRAFFIC_IMAGE; else build+=(balancefleet/traffic); fi
  [[ ${#build[@]} -eq 0 ]] || "$e2e/images/build.sh" dev "${build[@]}"
  wait "$kafka_job" || fail "there is no image of Kafka" "look at the lines above, or name one: make compose KAFKA_IMAGE=…"
  KAFKA_IMAGE=$(<"$chosen")
  export KAFKA_IMAGE
  rm -f "$chosen"
  trap - EXIT
}

# From 26 on, the engine does not say what docker-compose 1 must know to replace a container.
check_pair() {
  local engine compose
  compose=$("${compose_command[@]}" version --short)
  engine=$(docker version --format '{{.Server.Version}}')
  [[ ${compose#v} != 1.* || ${engine%%.*} -lt 26 ]] ||
    fail "docker-compose $compose works with Docker Engine 25 and older, and this one is $engine" \
      "install Docker Compose v2 (Ubuntu: docker-compose-v2, Docker's own packages: docker-compose-plugin)"
}

start_engine() {
  local answered=no
  ! engine_answers || answered=yes
  alone "$e2e/cluster/engine.sh" start
  use_cluster_environment
  if [[ $answered == no ]]; then export ENGINE_STARTED=yes; fi
  write_settings
}

start_containers() {
  export TRAFFIC_START=${TRAFFIC_START:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
  write_settings
  began=$EPOCHSECONDS
  quietly "4/5 starting the containers" compose up --detach ||
    fail "Docker Compose could not start them: $(compose logs --tail=5 kafka topics 2>&1 | tail -n 10)" \
      "e2e/compose/compose.sh ps shows what is not healthy; to start from nothing: make compose-down"
}

url=http://127.0.0.1:${WORKER_1_PORT:-8080}
balances() { curl --silent --noproxy '*' --max-time 5 "$url/api/Balance/balances" | jq '.count // 0' 2>/dev/null; }
is_balance_there() { [[ $(balances) -gt 0 ]]; }

await_balance() {
  progress "5/5 waiting for the first balance"
  wait_until "$FIRST_BALANCE_WITHIN" is_balance_there ||
    fail "no balance after $FIRST_BALANCE_WITHIN s; worker-1 says: $(compose exec -T worker-1 /usr/local/bin/balance-worker healthcheck 2>&1)" \
      "e2e/compose/compose.sh ps, and logs of what is not healthy"
  progress "the first balance was there $((EPOCHSECONDS - began)) s after the start of the containers"
}

print_what_next() {
  cat <<END

Balances   $url/api/Balance/balances    any worker answers for all; the others: ${WORKER_2_PORT:-8081}, ${WORKER_3_PORT:-8082}
Swagger    $url/swagger
Orders     http://127.0.0.1:${ORDERS_1_PORT:-18083}/api/v1/stats
Kafka      127.0.0.1:${KAFKA_PORT:-9092}, for containers kafka:9092

  e2e/compose/compose.sh ps                      # containers and their health
  e2e/compose/compose.sh kill worker-2           # kill -9; its partitions move after 10 s
  e2e/compose/compose.sh start worker-2
  e2e/compose/compose.sh logs --follow worker-1  # rebalances, records that were not applied
  e2e/compose/compose.sh exec kafka /opt/kafka/bin/kafka-consumer-groups.sh --bootstrap-server kafka:9092 --describe --group balance-service

  make compose-down                              # remove it
END
}

start() {
  progress "5 steps: prerequisites, Docker Engine, images, containers, first balance"
  progress "on 2 cores less than a minute when the images are there; 5 to 15 minutes when they are to be built"
  progress "1/5 prerequisites"
  local parts=(compose)
  [[ -n ${WORKER_IMAGE:-} && -n ${TRAFFIC_IMAGE:-} ]] || parts+=(rust)
  "$e2e/scripts/prerequisites.sh" "${parts[@]}"
  find_compose || fail "Docker Compose is missing" "install the Docker Compose plugin"
  check_ports
  progress "2/5 Docker Engine"
  start_engine
  check_pair
  progress "3/5 images"
  provide_images
  start_containers
  await_balance
  print_what_next
}

# In the background, so that a signal is noticed at once and reaches everything that was started.
begin start
finish || {
  status=$?
  [[ -z ${signalled:-} ]] || progress "interrupted: make compose goes on from here, make compose-down removes what is there"
  exit "$status"
}
