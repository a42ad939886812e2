# shellcheck shell=bash
# Tests config/openshift on a cluster that is no OpenShift: the Route against OpenShift's own definition of it, and all
# pods against an admission policy like the SCC restricted-v2; sourced by test.sh after api-server.sh.
# shellcheck disable=SC2154 # root, work and cache are test.sh's, namespace is api-server.sh's

[[ -n ${namespace:-} ]] || return 0

# The definition belongs to the whole cluster: one run at a time has it there. One that was there before stays.
delete_routes() { kubectl delete -f "$route_definition"; }
define_routes() {
  route_definition=$("$root/e2e/openshift/route-crd.sh")
  mkdir -p "$cache/run"
  exec 8>"$cache/run/route-crd.lock"
  flock 8
  if ! kubectl get crd routes.route.openshift.io >/dev/null 2>&1; then
    undo+=(delete_routes)
    kubectl create -f "$route_definition" >/dev/null
  fi
  wait_until 30 kubectl get routes.route.openshift.io --namespace "$namespace" >/dev/null 2>&1 ||
    fail 'the API server does not serve Routes' 'kubectl describe crd routes.route.openshift.io'
}
# refused_route TEXT FROM TO: with FROM replaced by TO, the Route is refused with TEXT.
refused_route() {
  local output
  sed "s/$2/$3/" "$route" >"$work/broken-route"
  ! cmp -s "$route" "$work/broken-route" || { echo "there is no $2 in it" && return 1; }
  if output=$(accepted "$work/broken-route"); then echo "it is accepted" && return 1; fi
  grep -qF -- "$1" <<<"$output" || { printf 'the error is: %s\n' "$output" && return 1; }
}
route=$root/config/openshift/route/route.yaml
define_routes
test_that "OpenShift's own definition accepts the Route" accepted "$route"
test_that 'and refuses an unknown termination' refused_route 'spec.tls.termination: Unsupported value: "edgy"' 'termination: edge' 'termination: edgy'
test_that 'and a misspelt field' refused_route 'unknown field "spec.tls.insecurePolicy"' 'insecureEdgeTerminationPolicy' 'insecurePolicy'
test_that 'and a Route that leads nowhere' refused_route 'spec.to.name' '^    name: .*' '    name: ""'

# as_pod FILE: a pod as its Deployment would create it, but with the namespace's account, which is there already.
as_pod() {
  kubectl create --dry-run=client --output=json -f "$1" |
    jq --arg namespace "$namespace" '(.items // [.])[] | select(.kind == "Deployment").spec.template
      | {apiVersion: "v1", kind: "Pod", metadata: {name: "pod", $namespace}, spec: (.spec | del(.serviceAccountName))}'
}
create_pod() { kubectl create --dry-run=server --output=json -f -; }
# admitted FILE: the pod is admitted as it is, and runs with the namespace's user and group.
admitted() {
  local ids
  ids=$(as_pod "$1" | create_pod | jq -c '.spec.securityContext | [.runAsUser, .runAsGroup, .fsGroup]')
  [[ $ids == '[1000650000,null,1000650000]' ]] || { echo "runAsUser, runAsGroup and fsGroup are $ids" && return 1; }
}
# refused_pod TEXT EDIT: edited by jq, the worker's pod is refused with TEXT.
refused_pod() {
  local output
  if output=$(jq "$2" "$work/pod" | create_pod 2>&1); then echo "it is admitted" && return 1; fi
  grep -qF -- "restricted-v2: $1" <<<"$output" || { printf 'the error is: %s\n' "$output" && return 1; }
}

as_pod "$work/openshift" >"$work/pod"
kubectl annotate namespace "$namespace" openshift.io/sa.scc.uid-range=1000650000/10000 >/dev/null
sed "s/NAMESPACE/$namespace/" "$root/e2e/openshift/restricted-v2.yaml" >"$work/restricted-v2"
delete_policy() { kubectl delete -f "$work/restricted-v2"; }
undo+=(delete_policy)
kubectl create -f "$work/restricted-v2" >/dev/null ||
  fail "the cluster has no MutatingAdmissionPolicy" "recreate it as e2e/cluster/kind.yaml describes it: make cluster-down cluster-up"
kubectl wait --for=create serviceaccount/default --namespace "$namespace" --timeout=30s >/dev/null
# A policy is in force a moment after it was created.
wait_until 30 refused_pod runAsUser '.spec.securityContext.runAsUser = 0' >/dev/null || true
wait_until 30 admitted "$work/openshift" >/dev/null || true

test_that 'a policy like restricted-v2 admits the workers of config/openshift' admitted "$work/openshift"
test_that 'and the operator of the chart' admitted "$work/applied"
test_that 'and the operator of config/default' admitted "$work/kustomized"
test_that 'and refuses root' refused_pod runAsUser '.spec.securityContext.runAsUser = 0'
test_that 'and a container with a user of its own' refused_pod runAsUser '.spec.containers[0].securityContext.runAsUser = 65532'
test_that 'and a group of its own' refused_pod fsGroup '.spec.securityContext.fsGroup = 65532'
test_that 'and the network of the host' refused_pod 'no namespace' '.spec.hostNetwork = true'
test_that 'and a port of the host' refused_pod 'no namespace' '.spec.containers[0].ports[0].hostPort = 8080'
test_that 'and privilege escalation' refused_pod 'no privileged' '.spec.containers[0].securityContext.allowPrivilegeEscalation = true'
test_that 'and a capability' refused_pod 'no capability' '.spec.containers[0].securityContext.capabilities.add = ["NET_ADMIN"]'
test_that 'and no seccomp profile' refused_pod 'the seccomp' '.spec.securityContext.seccompProfile.type = "Unconfined"'
test_that 'and SELinux options' refused_pod SELinux '.spec.securityContext.seLinuxOptions.level = "s0"'
test_that 'and a folder of the host' refused_pod 'volumes' '.spec.volumes = [{name: "host", hostPath: {path: "/"}}]'
