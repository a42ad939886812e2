#!/usr/bin/env bash
# Starts a private Kubernetes control plane (etcd, API server, controller manager; no node) for a command, runs it, and
# then stops the control plane whatever happened. No other operator watches it, which the tests in this folder require.
#
#   operator/tests/cluster/with-control-plane.sh COMMAND…
#
# COMMAND sees KUBECONFIG. The first run builds the programs from Kubernetes' own source, which takes minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../../../e2e/scripts/lib.sh
. "$here/../../../e2e/scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no command given" "operator/tests/cluster/with-control-plane.sh --help"

kubernetes=$("$e2e/cluster/go/go.sh" kubernetes kube-apiserver kube-controller-manager)
etcd=$("$e2e/cluster/go/go.sh" etcd)
dir=$(mktemp -d /tmp/balancefleet-control-plane.XXXXXX)
token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')

stop() {
  local part
  for part in controller-manager apiserver etcd; do stop_process "$dir/$part.pid" "$dir" 10; done
  rm -rf "$dir"
}

# launch NAME COMMAND…: runs COMMAND in the background, with its output and process id in files.
launch() {
  "${@:2}" >"$dir/$1.log" 2>&1 </dev/null &
  echo $! >"$dir/$1.pid"
}

answers() { [[ $(curl -sk --max-time 2 -H "Authorization: Bearer $token" "$server/readyz") == ok ]]; }

# A failed start prints the end of the logs, which say why.
give_up() {
  tail -n 5 "$dir"/*.log >&2 || true
  stop
}

start() {
  local client peer port
  client=$(free_port) peer=$(free_port) port=$(free_port)
  server=https://127.0.0.1:$port
  # A server that lives for one test needs no durability.
  launch etcd "$etcd/etcd" --data-dir "$dir/etcd" --unsafe-no-fsync --log-level error \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer"
  openssl genrsa -out "$dir/account.key" 2048 2>/dev/null
  echo "$token,admin,admin,system:masters" >"$dir/tokens.csv"
  # Pods without a node need no service account, and without the token controller none could be admitted.
  launch apiserver "$kubernetes/kube-apiserver" --etcd-servers "http://127.0.0.1:$client" --cert-dir "$dir/certificates" \
    --bind-address 127.0.0.1 --secure-port "$port" --service-cluster-ip-range 10.96.0.0/16 \
    --authorization-mode RBAC --token-auth-file "$dir/tokens.csv" --disable-admission-plugins ServiceAccount \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/account.key" \
    --service-account-signing-key-file "$dir/account.key"
  cat >"$dir/kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: $server, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: $token}}]
EOF
  wait_until 60 answers || fail "the API server does not answer" "read its log above"
  launch controller-manager "$kubernetes/kube-controller-manager" --kubeconfig "$dir/kubeconfig" --leader-elect=false \
    --secure-port 0 --service-account-private-key-file "$dir/account.key" \
    --controllers deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,disruption-controller,resourcequota-controller,serviceaccount-controller
}

trap give_up EXIT
progress "starting a control plane"
start
trap - EXIT
export KUBECONFIG=$dir/kubeconfig
run_then stop "$@"
