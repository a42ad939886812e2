# shellcheck shell=bash
# Shared by all scripts; to be sourced. Reads environment variables; defines functions and the directories below.
#   BALANCEFLEET_CACHE  the folder of everything that is built or downloaded (default ~/.cache/balancefleet)

# A failure inside $(…) ends the script like any other failure. In `f || g`, the function f continues after a failed
# line, so functions of several steps are called plainly or after `if …; then`.
shopt -s inherit_errexit

cache=${BALANCEFLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/balancefleet}
e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export e2e
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

# How Cargo compiles the crates of this workspace (see the script). Outside the clone, named by its content: Cargo tells
# builds apart by this path.
RUSTC_WORKSPACE_WRAPPER=$cache/bin/rustc-$(cksum <"$e2e/scripts/rustc.sh" | cut -d ' ' -f 1)
export RUSTC_WORKSPACE_WRAPPER
if [[ ! -x $RUSTC_WORKSPACE_WRAPPER ]]; then
  mkdir -p "$cache/bin"
  cp "$e2e/scripts/rustc.sh" "$RUSTC_WORKSPACE_WRAPPER.$BASHPID"
  mv "$RUSTC_WORKSPACE_WRAPPER.$BASHPID" "$RUSTC_WORKSPACE_WRAPPER"
fi

# Elapsed time counts from the start of the outermost script.
: "${BALANCEFLEET_STARTED:=$EPOCHSECONDS}"
export BALANCEFLEET_STARTED

# progress WORDS…: prints one line with the elapsed time to stderr.
progress() {
  local elapsed=$((EPOCHSECONDS - BALANCEFLEET_STARTED))
  printf '[%3d:%02d] %s\n' $((elapsed / 60)) $((elapsed % 60)) "$*" >&2
}

# fail WHAT NEXT: prints what went wrong and what to do next, and ends the script. Whoever was interrupted needs no reason.
fail() {
  [[ -z ${signalled:-} ]] || exit 130
  printf 'error: %s\n' "$1" >&2
  [[ -z ${2:-} ]] || printf ' next: %s\n' "$2" >&2
  exit 1
}

# usage_when_asked "$@": if the first argument is -h or --help, prints the script's header comment and exits.
usage_when_asked() {
  case ${1:-} in
    -h | --help)
      awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
      exit 0
      ;;
  esac
}

has() { command -v "$1" >/dev/null 2>&1; }

# find_compose: sets compose_command to Docker Compose: the plugin or, without it, docker-compose. False if neither is there.
find_compose() {
  # shellcheck disable=SC2034 # for the caller
  if docker compose version >/dev/null 2>&1; then
    compose_command=(docker compose)
  elif has docker-compose; then
    compose_command=(docker-compose)
  else
    return 1
  fi
}

# content_hash PATH…: prints 16 hex digits over the names, modes and contents of files and folders.
content_hash() {
  local path
  for path; do
    (cd "$(dirname "$path")" && find "$(basename "$path")" -type f -printf '%m %p\n' -exec sha256sum {} + | LC_ALL=C sort)
  done | sha256sum | cut -c1-16
}

# wait_until SECONDS COMMAND…: runs COMMAND every 100 ms until it succeeds; fails when the time is up.
wait_until() {
  local deadline=$((EPOCHSECONDS + $1))
  shift
  until "$@"; do
    ((EPOCHSECONDS < deadline)) || return 1
    sleep 0.1
  done
}

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: prints a port on which nothing listens, below the kernel's range for outgoing connections.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + RANDOM % 9000))
    port_is_open "$port" || { echo "$port"; return; }
  done
  fail "no free port between 20000 and 29000" "stop what listens there (ss -ltn)"
}

# is_process PIDFILE WORD: true if the recorded process is alive and its command line contains WORD, so that a reused
# process id is never mistaken for ours.
is_process() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [[ -n $pid && -r /proc/$pid/cmdline ]] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2"
}

# stop_process PIDFILE WORD SECONDS: sends TERM, then KILL after SECONDS; returns when the process is gone.
stop_process() {
  local pid
  if is_process "$1" "$2"; then
    pid=$(<"$1")
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_until "$3" process_is_gone "$pid"; then
      kill -KILL "$pid" 2>/dev/null || true
      wait_until 10 process_is_gone "$pid" || fail "process $pid does not end" "inspect it: ps -fp $pid"
    fi
  fi
  rm -f "$1"
}

# A zombie counts as gone: only its parent can reap it.
process_is_gone() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  [[ ${stat##*) } == Z* ]]
}

# begin COMMAND…: starts COMMAND as $job in its own process group. A signal then reaches our trap at once (a script that
# waits for a foreground command would see it only afterwards), and the trap ends everything that COMMAND started. It sets
# $signalled.
begin() {
  set -m
  "$@" </dev/null &
  job=$!
  set +m
  # shellcheck disable=SC2064 # the job's id is meant to be fixed now
  trap "signalled=yes; kill -TERM -- -$job 2>/dev/null" INT TERM HUP
}

# finish: waits for $job and returns its status.
finish() {
  local status=0
  wait "$job" || status=$?
  # An interrupted wait does not mean that the job has ended: wait again.
  while kill -0 "$job" 2>/dev/null; do
    status=0
    wait "$job" || status=$?
  done
  trap - INT TERM HUP
  return "$status"
}

# run_then CLEANUP COMMAND…: runs COMMAND, then CLEANUP whatever happened; returns COMMAND's status.
run_then() {
  local cleanup=$1 status=0
  begin "${@:2}"
  finish || status=$?
  trap '' INT TERM HUP
  "$cleanup"
  return "$status"
}

# cached NAME HASH COMMAND…: prints the folder <cache>/NAME-HASH. If it is missing, COMMAND fills a new folder (its last
# argument), which gets the name only if COMMAND succeeds. If another run was faster, its folder is kept.
cached() {
  local target=$cache/$1-$2
  shift 2
  if [[ ! -d $target ]]; then
    (
      part=$target.part.$BASHPID
      trap 'rm -rf "$part"' EXIT
      mkdir -p "$part"
      "$@" "$part" >&2
      mv -T "$part" "$target" 2>/dev/null || [[ -d $target ]]
    )
  fi
  echo "$target"
}

# quietly WHAT COMMAND…: runs COMMAND with its output in a log. Prints a progress line at the start and every 30 s, and
# the end of the log if COMMAND fails by itself.
quietly() {
  local what=$1 log began status=0
  log=$(mktemp -t balancefleet-log.XXXXXX)
  began=$EPOCHSECONDS
  progress "$what"
  begin "${@:2}" >"$log" 2>&1
  while still_runs_after 30 "$job"; do progress "$what: $((EPOCHSECONDS - began)) s so far"; done
  finish || status=$?
  if [[ $status -ne 0 && -z ${signalled:-} ]]; then
    tail -n 20 "$log" >&2
    printf 'error: %s failed; full output: %s\n' "$what" "$log" >&2
    return "$status"
  fi
  rm -f "$log"
  return "$status"
}

# still_runs_after SECONDS PID: true if the process is still running after SECONDS; returns false as soon as it ends.
still_runs_after() { ! wait_until "$1" process_is_gone "$2"; }
