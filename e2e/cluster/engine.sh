#!/usr/bin/env bash
# Sees to a Docker Engine.
#
#   e2e/cluster/engine.sh start     uses the engine that answers; where none does, root starts one of this project's own
#   e2e/cluster/engine.sh stop      stops that own engine; any other stays
#
# The own engine has its data below the cache and its socket below /run/balancefleet; it reads no other configuration.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
usage_when_asked "$@"
use_cluster_environment

data=$cache/docker
log=$data/dockerd.log

# Bit 24 of the bounding set. Without it the kernel refuses what a privileged container asks for.
lacks_sys_resource() { ((!(0x$(awk '/^CapBnd:/ { print $2 }' /proc/self/status) >> 24 & 1))); }

write_configuration() {
  mkdir -p "$ENGINE" "$data/root"
  if lacks_sys_resource; then
    # A copy: the engine must keep it when the clone is moved.
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
  [[ $EUID -eq 0 ]] || fail "no Docker Engine answers" "start Docker, or become root: then this script starts an engine of its own"
  has dockerd || fail "dockerd is missing" "e2e/scripts/prerequisites.sh cluster"
  export DOCKER_HOST=$ENGINE_HOST
  write_configuration
  rm -f "$ENGINE/dockerd.pid"
  progress "starting a Docker Engine of our own"
  setsid dockerd --config-file "$data/daemon.json" --data-root "$data/root" --exec-root "$ENGINE/exec" \
    --pidfile "$ENGINE/dockerd.pid" --host "$ENGINE_HOST" </dev/null >"$log" 2>&1 &
  dockerd=$!
  wait_until 60 answers_or_ended || true
  engine_answers || fail "dockerd did not start: $(tail -n 2 "$log")" "look at $log"
}

# What a stopped engine leaves: its bridge, and mounts when it had to be killed.
clean_up() {
  local mount
  while read -r mount; do umount --lazy "$mount" || true; done < <(awk -v a="$ENGINE/" -v b="$data/root/" \
    'index($2, a) == 1 || index($2, b) == 1 { print $2 }' /proc/mounts | sort -r)
  ip link delete docker0 2>/dev/null || true
  rm -rf "$ENGINE"
}

stop() {
  own_engine_runs || return 0
  progress "stopping our Docker Engine"
  docker network rm kind >/dev/null 2>&1 || true
  stop_process "$ENGINE/dockerd.pid" "$ENGINE/dockerd.pid" 60
  clean_up
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) fail "say start or stop" "e2e/cluster/engine.sh --help" ;;
esac
