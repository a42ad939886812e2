#!/usr/bin/env bash
# Starts or stops a Docker Engine for this project.
#
#   e2e/cluster/engine.sh start     uses the engine that answers; if none does, starts a private one (as root)
#   e2e/cluster/engine.sh stop      stops the private engine; any other engine keeps running
#
# The private engine keeps its data below the cache and its socket below /run/balancefleet, and reads no other
# configuration.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment

data=$cache/docker
storage=$data/root
log=$data/dockerd.log

# CAP_SYS_RESOURCE is bit 24 of the bounding set. Without it, the kernel refuses what a privileged container requests.
lacks_sys_resource() { ((!(0x$(awk '/^CapBnd:/ { print $2 }' /proc/self/status) >> 24 & 1))); }

write_configuration() {
  mkdir -p "$ENGINE" "$storage"
  if lacks_sys_resource; then
    # Copied, so that the engine keeps it if the clone moves.
    install -m 755 "$here/runc-available-caps" "$data/runc-available-caps"
    jq -n --arg path "$data/runc-available-caps" \
      '{"default-runtime": "available-caps", "runtimes": {"available-caps": {"path": $path}}}' >"$data/daemon.json"
  else
    echo '{}' >"$data/daemon.json"
  fi
}

answers_or_ended() { engine_answers || process_is_gone "$dockerd"; }

start() {
  if engine_answers; then return; fi
  [[ $EUID -eq 0 ]] || fail "no Docker Engine answers: $(docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1)" \
    "start Docker, or run as root: this script then starts a private engine"
  has dockerd || fail "dockerd is missing" "e2e/scripts/prerequisites.sh cluster"
  export DOCKER_HOST=$ENGINE_HOST
  write_configuration
  rm -f "$ENGINE/dockerd.pid"
  progress "starting a private Docker Engine"
  setsid dockerd --config-file "$data/daemon.json" --data-root "$storage" --exec-root "$ENGINE/exec" \
    --pidfile "$ENGINE/dockerd.pid" --host "$ENGINE_HOST" </dev/null >"$log" 2>&1 &
  dockerd=$!
  wait_until 60 answers_or_ended || true
  engine_answers || fail "dockerd did not start: $(tail -n 2 "$log")" "look at $log"
}

# Removes what a stopped engine leaves behind: its bridge and, if it had to be killed, its mounts.
clean_up() {
  local mount
  while read -r mount; do umount --lazy "$mount" || true; done < <(awk -v a="$ENGINE/" -v b="$storage/" \
    'index($2, a) == 1 || index($2, b) == 1 { print $2 }' /proc/mounts | sort -r)
  ip link delete docker0 2>/dev/null || true
  rm -rf "$ENGINE"
}

stop() {
  own_engine_runs || return 0
  progress "stopping the private Docker Engine"
  docker network rm kind >/dev/null 2>&1 || true
  stop_process "$ENGINE/dockerd.pid" "$ENGINE/dockerd.pid" 60
  clean_up
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) fail "expected start or stop" "e2e/cluster/engine.sh --help" ;;
esac
