# shellcheck shell=bash
# Shared by the scripts of this folder, which source it. Includes cluster/lib.sh: one Docker Engine serves both.
#   COMPOSE_PROJECT_NAME   the Compose project (default balancefleet)
# shellcheck source=../cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib.sh"

export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-balancefleet}
compose_folder=$(cd "$e2e/../config/compose" && pwd)

# The variables of the Compose file. up.sh writes down their values, so that whoever changes the project later, from another
# shell, means the same images and ports.
SETTINGS=(KAFKA_IMAGE WORKER_IMAGE TRAFFIC_IMAGE KAFKA_PORT WORKER_1_PORT WORKER_2_PORT WORKER_3_PORT ORDERS_1_PORT
  ORDERS_2_PORT ORDERS_3_PORT TRAFFIC_RATE TRAFFIC_COUNT TRAFFIC_START KAFKA_ASSIGNOR BALANCE_SIGNS SIMULATED_WORK)
written_settings=$cache/run/compose-$COMPOSE_PROJECT_NAME.env

write_settings() {
  local name
  mkdir -p "$cache/run"
  for name in "${SETTINGS[@]}" ENGINE_STARTED; do
    [[ -z ${!name+given} ]] || printf '%s=%s\n' "$name" "${!name}"
  done >"$written_settings"
}

# use_settings: exports what was written down, but for what the environment says.
use_settings() {
  local name value
  [[ -f $written_settings ]] || return 0
  while IFS='=' read -r name value; do
    [[ -n ${!name+given} ]] || export "$name=$value"
  done <"$written_settings"
}

# compose ARGUMENT…: Docker Compose with the project's files. find_compose must have found it.
compose() {
  local files=(--file "$compose_folder/docker-compose.yml")
  [[ ! -f $compose_folder/docker-compose.override.yml ]] || files+=(--file "$compose_folder/docker-compose.override.yml")
  "${compose_command[@]}" "${files[@]}" "$@"
}
