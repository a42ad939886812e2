#!/usr/bin/env bash
# Tests the Compose project as a user has it: started by up.sh on free ports, looked at and disturbed, taken down by down.sh.
#
#   e2e/compose/test.sh
#
# Beside what runs already: it has a project and ports of its own. Prints one line per test; the last line counts them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export COMPOSE_PROJECT_NAME=balancefleet-test-$$
. "$here/lib.sh"
. "$here/../scripts/tests.sh"
usage_when_asked "$@"
use_cluster_environment

# Enough to be under way while a worker is killed, and over soon after.
export TRAFFIC_RATE=200 TRAFFIC_COUNT=5000
ports=(KAFKA_PORT WORKER_1_PORT WORKER_2_PORT WORKER_3_PORT ORDERS_1_PORT)
taken=
for variable in "${ports[@]}"; do
  until port=$(free_port) && [[ " $taken " != *" $port "* ]]; do :; done
  taken+=" $port"
  export "$variable=$port"
done
workers=("$WORKER_1_PORT" "$WORKER_2_PORT" "$WORKER_3_PORT")
work=$(mktemp -d -t balancefleet-compose.XXXXXX)
engine_was_up=no
! engine_answers || engine_was_up=yes

clean_up() {
  [[ -z ${blocker:-} ]] || kill "$blocker" 2>/dev/null || true
  "$here/down.sh" >/dev/null 2>&1 || true
  [[ $engine_was_up == yes ]] || release_engine
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# says TEXT… -- COMMAND…: the command fails, and says each of these texts.
says() {
  local texts=() text output
  while [[ $1 != -- ]]; do texts+=("$1") && shift; done
  if output=$("${@:2}" 2>&1); then echo "it did not fail: $output" && return 1; fi
  for text in "${texts[@]}"; do
    grep -qF -- "$text" <<<"$output" || { printf 'no "%s" in: %s\n' "$text" "$output" && return 1; }
  done
}
# up [NAME=VALUE…]
up() { env -u BALANCEFLEET_STARTED "$@" "$here/up.sh"; }

# container SERVICE: its id, whatever its state.
container() {
  docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}
state() { docker inspect --format "{{$2}}" "$(container "$1")"; }
is_healthy() { [[ $(state "$1" .State.Health.Status) == healthy ]]; }
get() { curl --silent --noproxy '*' --max-time 5 "http://127.0.0.1:$1$2"; }
number() { get "$1" /api/Balance/metrics | jq -r "$2"; }
# tool SCRIPT ARGUMENT…: one of Kafka's, in its container.
tool() { docker exec --interactive "$(container kafka)" "/opt/kafka/bin/$1" --bootstrap-server localhost:9092 "${@:2}"; }
# shares PORT…: how many partitions these workers have together.
shares() {
  local port sum=0 share
  for port; do
    share=$(number "$port" '.assignedPartitions | length')
    sum=$((sum + ${share:-0}))
  done
  echo "$sum"
}
have_all() { [[ $(shares "$@") == 6 ]]; }
has_some() { [[ $(shares "$1") -gt 0 ]]; }

"$e2e/images/binaries.sh" balancefleet/worker balancefleet/traffic

# 1. What a user may have wrong.

port_is_busy() {
  HTTP_ADDRESS=127.0.0.1:$WORKER_2_PORT "$CARGO_TARGET_DIR/release/balance-worker" >/dev/null 2>&1 &
  blocker=$!
  wait_until 10 port_is_open "$WORKER_2_PORT" || { echo "nothing listens at $WORKER_2_PORT" && return 1; }
  local status=0
  says "port $WORKER_2_PORT (WORKER_2_PORT) is in use by balance-worker (process $blocker)" 'make compose WORKER_2_PORT=' -- up || status=$?
  kill "$blocker"
  wait "$blocker" 2>/dev/null || true
  return "$status"
}
compose_is_old() {
  mkdir "$work/old"
  printf '#!/bin/sh\necho 1.25.0\n' >"$work/old/docker-compose"
  # shellcheck disable=SC2016 # the script's own
  printf '#!/bin/sh\n[ "$1" != compose ] || exit 1\nexec %q "$@"\n' "$(command -v docker)" >"$work/old/docker"
  chmod 755 "$work/old"/*
  says 'Docker Compose (docker-compose) is 1.25.0' '1.29 or newer' -- up "PATH=$work/old:$PATH"
}
# As a user who may start none. The images are given, so that only Docker is missing.
no_engine() {
  local as=()
  mkdir "$work/clone"
  cp -r "$e2e" "$e2e/../config" "$work/clone/"
  if [[ $EUID -eq 0 ]]; then
    mkdir "$work/cache"
    chown 65534 "$work/cache"
    chmod -R a+rX "$work"
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
  fi
  says 'no Docker Engine answers' 'start Docker' -- "${as[@]}" env -u BALANCEFLEET_STARTED "BALANCEFLEET_CACHE=$work/cache" \
    "DOCKER_HOST=unix://$work/no.sock" WORKER_IMAGE=x TRAFFIC_IMAGE=x "$work/clone/e2e/compose/up.sh"
}
test_that 'a busy port is named with its variable and with who holds it' port_is_busy
test_that 'a Docker Compose that is too old is named with the version that is needed' compose_is_old
test_that 'without a Docker Engine, it says so and what to do' no_engine

# 2. Interrupted, and taken down.

has_reached() { grep -qF "$1" "$work/interrupted" || process_is_gone "$job"; }
interrupted() {
  set -m
  "$here/up.sh" >"$work/interrupted" 2>&1 </dev/null &
  job=$!
  set +m
  wait_until 300 has_reached '4/5 starting the containers' || { cat "$work/interrupted" && return 1; }
  sleep 2
  kill -INT "$job"
  if wait "$job"; then echo 'it did not fail' && return 1; fi
  grep -qF 'interrupted: make compose goes on from here' "$work/interrupted" || { cat "$work/interrupted" && return 1; }
  # Nothing that it started goes on.
  ! grep -qF 'error:' "$work/interrupted" || { cat "$work/interrupted" && return 1; }
}
nothing_is_left() {
  local ours=(--quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME") left
  left=$(docker container ls --all "${ours[@]}" && docker network ls "${ours[@]}" && docker volume ls "${ours[@]}") || return 1
  [[ -z $left && ! -e $written_settings ]] || { echo "left: $left $(ls "$written_settings" 2>&1)" && return 1; }
}
taken_down() {
  "$here/down.sh" || return 1
  if [[ $engine_was_up == yes ]]; then
    nothing_is_left
  elif engine_answers; then
    echo 'the engine still runs' && return 1
  fi
}
test_that 'an interrupted start says how to go on' interrupted
test_that 'down removes what it left, and the engine that it started' taken_down

# 3. Started.

alone "$e2e/cluster/engine.sh" start
use_cluster_environment
if ! "$here/up.sh" >"$work/up" 2>&1; then
  cat "$work/up"
  echo 'FAILED  it starts'
  failed=$((failed + 1))
  test_result
fi
seconds=$(grep -oE 'first balance was there [0-9]+ s' "$work/up" | grep -oE '[0-9]+')
test_that "the first balance is there within a minute: after $seconds s" test "$seconds" -le 60

all_healthy() {
  local service
  for service in kafka worker-1 worker-2 worker-3 orders-1; do
    wait_until 60 is_healthy "$service" || { echo "$service: $(state "$service" 'json .State.Health')" && return 1; }
  done
}
what_next_is_true() {
  local url command urls=0 commands=0
  while read -r url; do
    urls=$((urls + 1))
    curl --silent --fail --location --noproxy '*' --output /dev/null "$url" || { echo "$url" && return 1; }
  done < <(grep -oE 'http://127.0.0.1:[^ ]+' "$work/up")
  # Those that only look, and without a terminal.
  while read -ra command; do
    commands=$((commands + 1))
    (cd "$e2e/.." && timeout 60 "${command[@]}" </dev/null) || { echo "${command[*]}" && return 1; }
  done < <(sed -n 's/#.*//; s/ exec / exec -T /; s/^  \(e2e.*\)/\1/p' "$work/up" | grep -vE ' (kill|start|logs) ')
  ((urls == 3 && commands == 2)) || { echo "$urls addresses, $commands commands" && return 1; }
}
least_privilege() {
  local id
  for id in $(docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"); do
    docker inspect "$id" | jq -e '.[0] | .HostConfig as $host | $host.ReadonlyRootfs and $host.CapDrop == ["ALL"]
      and ($host.SecurityOpt | index("no-new-privileges:true")) and $host.Memory > 0
      and ($host.RestartPolicy.Name | . == "no" or . == "")
      and all($host.PortBindings // {} | .[][]; .HostIp == "127.0.0.1")' >/dev/null || { docker inspect "$id" && return 1; }
  done
}
test_that 'Kafka and all workers are healthy' all_healthy
test_that 'what it prints to look at and to type works' what_next_is_true
test_that 'no container has a right it does not need, and every port is on 127.0.0.1' least_privilege

# 4. The messages of the labs, and one that is none.

messages='{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}
{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}
this is no JSON'
orders='{"orderId":"ORD-001","amount":99.99,"status":"NEW"}
{"orderId":"ORD-002","amount":1.00,"status":"NEW"}'

is_balance() { [[ $(get "$1" /api/Balance/balances/CUST-001) == *'"balance":6200.00,'*'"transactionCount":2,'* ]]; }
lab_balance() {
  local port
  for port in "${workers[@]}"; do
    wait_until 30 is_balance "$port" || { get "$port" /api/Balance/balances/CUST-001 && return 1; }
  done
}
errors() {
  local port sum=0
  for port in "${workers[@]}"; do sum=$((sum + $(number "$port" .processingErrors))); done
  echo "$sum"
}
bad_record() {
  [[ $(errors) == 1 ]] || { echo "processingErrors: $(errors)" && return 1; }
  "$here/compose.sh" logs worker-1 worker-2 worker-3 | grep -F 'a record was not applied' || { echo 'no line in the log' && return 1; }
}
two_orders() { [[ $(get "$ORDERS_1_PORT" /api/v1/stats | jq -c '[.messagesProcessed, .partitionsAssigned[0]]') == '[2,"orders-0"]' ]]; }
orders_are_counted() { wait_until 30 two_orders || { get "$ORDERS_1_PORT" /api/v1/stats && return 1; }; }

tool kafka-console-producer.sh --topic banking.transactions <<<"$messages" >/dev/null
tool kafka-console-producer.sh --topic orders <<<"$orders" >/dev/null
test_that 'the two messages of the lab give 6200.00, whichever worker is asked' lab_balance
test_that 'a message that is no JSON is counted and logged' bad_record
test_that 'orders are counted by the worker with the ledger count' orders_are_counted

# 5. Workers that are killed, started and stopped.

killed() {
  has_some "$WORKER_2_PORT" || { echo 'worker-2 has no partition' && return 1; }
  "$here/compose.sh" kill worker-2 || return 1
  wait_until 30 have_all "$WORKER_1_PORT" "$WORKER_3_PORT" || { echo "the others have $(shares "$WORKER_1_PORT" "$WORKER_3_PORT") of 6" && return 1; }
  [[ $(state worker-2 .State.Status)/$(state worker-2 .State.ExitCode) == exited/137 ]] || { state worker-2 'json .State' && return 1; }
}
back() {
  "$here/compose.sh" start worker-2 || return 1
  wait_until 30 has_some "$WORKER_2_PORT" || { echo 'it has no partition' && return 1; }
  wait_until 30 is_healthy worker-2
}
exact() {
  wait_until 60 traffic_is_over || { docker logs "$(container traffic)" && return 1; }
  "$CARGO_TARGET_DIR/release/verify" --api "http://127.0.0.1:$WORKER_1_PORT" --bootstrap-servers "127.0.0.1:$KAFKA_PORT" --patience 60s
}
traffic_is_over() { [[ $(state traffic .State.Status)/$(state traffic .State.ExitCode) == exited/0 ]]; }
same_answers() {
  local port
  for port in "${workers[@]}"; do get "$port" /api/Balance/balances | jq -S .balances >"$work/$port"; done
  [[ $(jq length "$work/$WORKER_1_PORT") -gt 900 ]] || { echo 'there are too few customers' && return 1; }
  for port in "${workers[@]}"; do cmp "$work/$WORKER_1_PORT" "$work/$port" || return 1; done
}
# Well within the session timeout (10 s), after which a member that only vanished would lose them.
stopped() {
  local began=$EPOCHSECONDS
  has_some "$WORKER_3_PORT" || { echo 'worker-3 has no partition' && return 1; }
  "$here/compose.sh" stop worker-3 || return 1
  wait_until 8 have_all "$WORKER_1_PORT" "$WORKER_2_PORT" || { echo "the others have $(shares "$WORKER_1_PORT" "$WORKER_2_PORT") of 6 after $((EPOCHSECONDS - began)) s" && return 1; }
  [[ $(state worker-3 .State.ExitCode) == 0 ]] || { state worker-3 'json .State' && return 1; }
}
test_that 'a worker that is killed stays dead, and the others take over its partitions' killed
test_that 'started again, it gets partitions' back
test_that 'no balance was lost or counted twice' exact
test_that 'all workers answer the same' same_answers
test_that 'a worker that is stopped hands its partitions over at once' stopped

# 6. A topic that is missing.

health() { docker exec "$COMPOSE_PROJECT_NAME-missing" /usr/local/bin/balance-worker healthcheck; }
says_missing() { [[ $(health 2>&1) == *'no.such.topic'*'create it or correct its name'* ]]; }
topic_is_missing() {
  "$here/compose.sh" run --detach --no-deps --name "$COMPOSE_PROJECT_NAME-missing" -e KAFKA_TOPIC=no.such.topic \
    -e KAFKA_GROUP_ID=missing worker-1 >/dev/null || return 1
  wait_until 30 says_missing || { health || true && return 1; }
  if health; then return 1; fi
  tool kafka-topics.sh --create --topic no.such.topic --partitions 2 || return 1
  wait_until 30 health
}
test_that 'a worker whose topic is missing says so, and begins when it is there' topic_is_missing

# 7. Taken down.

removed() {
  docker rm --force "$COMPOSE_PROJECT_NAME-missing" >/dev/null 2>&1
  "$here/down.sh" || return 1
  nothing_is_left
}
test_that 'down leaves nothing' removed

test_result
