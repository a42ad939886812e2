#!/usr/bin/env bash
# Starts and stops a private PostgreSQL server as a process of this machine. A system server is never touched.
#
#   e2e/postgres/local.sh start [--dir D] [--port N]
#   e2e/postgres/local.sh stop [--dir D]
#
#   --dir D    the server's folder (default /tmp/balancefleet-postgres-<user id>): url, server.log, data/
#   --port N   port on 127.0.0.1 (default: a free port; the same as before if D has been used)
#
# D/url contains postgres://balance:balance-secret@127.0.0.1:N/balance. D/ca.crt is the CA of the server's certificate,
# which is valid only for 127.0.0.1. Starting again in the same folder keeps data and port.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

command=${1:-} dir=/tmp/balancefleet-postgres-$UID port=''
[[ $# -eq 0 ]] || shift
while [[ $# -gt 0 ]]; do
  case $1 in
    --dir) dir=$(realpath -m "$2") && shift 2 ;;
    --port) port=$2 && shift 2 ;;
    *) fail "unknown argument $1" "e2e/postgres/local.sh --help" ;;
  esac
done
bin=$("$here/bin.sh")

# PostgreSQL refuses to run as root; Debian's package provides a user for it.
as_server() {
  if [[ $EUID -eq 0 ]]; then
    (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
  else
    "$@"
  fi
}
runs() { as_server "$bin/pg_ctl" status --pgdata="$dir/data" >/dev/null 2>&1; }

# Creates a CA, and a certificate for 127.0.0.1 that it signs.
certificates() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${key[@]}" -days 7 -subj /CN=balancefleet-test -keyout "$dir/ca.key" -out "$dir/ca.crt" &&
    openssl req "${key[@]}" -subj /CN=postgres -keyout "$dir/server.key" -out "$dir/server.csr" &&
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 7 \
      -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$dir/server.crt"
}

initialise() {
  mkdir -p "$dir"
  [[ $EUID -ne 0 ]] || chown postgres "$dir"
  [[ ! -f $dir/data/PG_VERSION ]] || return 0
  port=${port:-$(free_port)}
  # The server requires a password, so that tests can try a wrong one.
  echo balance-secret >"$dir/password"
  as_server "$bin/initdb" --pgdata="$dir/data" --username=balance --pwfile="$dir/password" --auth-local=trust \
    --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
    fail "initdb failed: $(tail -n 2 "$dir/initdb.log")" "look at $dir/initdb.log"
  certificates >"$dir/openssl.log" 2>&1 ||
    fail "could not create a certificate: $(tail -n 1 "$dir/openssl.log")" "look at $dir/openssl.log"
  chmod 600 "$dir/server.key"
  [[ $EUID -ne 0 ]] || chown postgres "$dir/server.key" "$dir/server.crt"
  # The data is deleted after the test, so it need not survive a power failure.
  as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
max_connections = 200
fsync = off
full_page_writes = off
ssl = on
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
END
  echo "postgres://balance:balance-secret@127.0.0.1:$port/balance" >"$dir/url"
}

start() {
  initialise
  if ! runs; then
    as_server "$bin/pg_ctl" start --wait --timeout=30 --silent --pgdata="$dir/data" --log="$dir/server.log" ||
      fail "PostgreSQL did not start: $(tail -n 2 "$dir/server.log")" "look at $dir/server.log"
    as_server "$bin/createdb" --host="$dir" --port="$(sed 's/.*:\([0-9]*\).*/\1/' "$dir/url")" --username=balance balance 2>/dev/null || true
  fi
  progress "PostgreSQL answers at $(<"$dir/url")"
}

stop() {
  ! runs || as_server "$bin/pg_ctl" stop --wait --timeout=20 --silent --mode=fast --pgdata="$dir/data" ||
    fail "PostgreSQL did not stop" "look at $dir/server.log"
}

case $command in
  start) start ;;
  stop) stop ;;
  *) fail "expected start or stop" "e2e/postgres/local.sh --help" ;;
esac
