# shellcheck shell=bash
# Tests the kustomize manifests, which are generated from the charts; sourced by test.sh.
# shellcheck disable=SC2154 # root and work are test.sh's

kubectl kustomize "$root/config/default" >"$work/kustomized"
test_that 'kustomize renders everything the charts install' has_lines "$work/kustomized" 'kind: Namespace' \
  'kind: CustomResourceDefinition' 'kind: ServiceAccount' 'kind: ClusterRole' 'kind: ClusterRoleBinding' 'kind: Deployment' 'kind: Service'
test_that 'and nothing that is true under Helm only' lacks "$work/kustomized" 'helm|Helm'
test_that 'its namespace admits only restricted pods' has_lines "$work/kustomized" 'pod-security.kubernetes.io/enforce: restricted'
for folder in crd rbac manager samples; do
  test_that "kustomize renders config/$folder alone" kubectl kustomize "$root/config/$folder"
done
