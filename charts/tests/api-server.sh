# shellcheck shell=bash
# Tests the manifests against a real API server; sourced by test.sh. Creates objects in one namespace only, which it
# deletes at the end.
# shellcheck disable=SC2154 # root, operator, definition and work are test.sh's

if ! kubectl version --request-timeout=5s >/dev/null 2>&1; then
  echo 'skipped  the dry runs: no cluster answers at KUBECONFIG (make cluster-up)'
  return 0
fi

namespace=balancefleet-charts-$$
delete_namespace() { kubectl delete namespace "$namespace" --wait=false; }
kubectl create namespace "$namespace" >/dev/null
undo+=(delete_namespace)
kubectl label namespace "$namespace" pod-security.kubernetes.io/warn=restricted >/dev/null

# accepted FILE: every object is valid, and the API server prints no warning.
accepted() {
  local output
  output=$(kubectl apply --dry-run=server --validate=strict --namespace "$namespace" -f "$1" 2>&1 >/dev/null) || { echo "$output" && return 1; }
  # Objects installed by Helm lack kubectl's annotation, so its warning about that does not count.
  ! grep -v 'last-applied-configuration' <<<"$output" | grep .
}
charted() { helm template "charts-test-$$" "$operator" --namespace "$namespace" "$@"; }

charted >"$work/applied"
test_that 'the API server accepts the operator, and restricted pods' accepted "$work/applied"
charted --set "watchNamespaces={$namespace}" >"$work/applied-namespaced"
test_that 'the API server accepts a namespaced operator' accepted "$work/applied-namespaced"
test_that 'the API server accepts the CRD of the chart' accepted "$work/definition"
test_that 'the API server accepts the CRD of kustomize' accepted "$root/config/crd/balanceconsumergroups.yaml"
sed "s/balancefleet-system/$namespace/" "$work/kustomized" >"$work/kustomized-here"
test_that 'the API server accepts what kustomize renders' accepted "$work/kustomized-here"
for folder in kubernetes kubernetes/ingress; do
  test_that "the API server accepts config/$folder, file by file" accepted "$root/config/$folder"
done

# Asks the API server itself whether the operator has the rights that its API calls need.
may() { kubectl auth can-i "$@" --namespace "$namespace" --as="system:serviceaccount:$namespace:$account" >/dev/null 2>&1; }
account=charts-test-$$-balancefleet-operator
rights() {
  may patch deployments.apps && may create poddisruptionbudgets.policy && may patch pods && may get secrets && may create events.events.k8s.io
}
limits() { ! may list secrets && ! may watch secrets && ! may delete pods && ! may update balanceconsumergroups.balancefleet.io && ! may create pods &&
  ! may get pods && ! may update balanceconsumergroups.balancefleet.io --subresource=status; }
helm template "charts-test-$$" "$operator" --namespace "$namespace" --set "watchNamespaces={$namespace}" \
  --show-only templates/rbac.yaml --show-only templates/serviceaccount.yaml | kubectl apply --namespace "$namespace" -f - >/dev/null
test_that 'its roles give what the operator calls' rights
test_that 'and nothing beyond' limits
