# shellcheck shell=bash
# Tests the kustomize manifests: those generated from the charts, and those of workers without the operator; sourced by
# test.sh.
# shellcheck disable=SC2154 # root and work are test.sh's

kubectl kustomize "$root/config/default" >"$work/kustomized"
test_that 'kustomize renders everything the charts install' has_lines "$work/kustomized" 'kind: Namespace' \
  'kind: CustomResourceDefinition' 'kind: ServiceAccount' 'kind: ClusterRole' 'kind: ClusterRoleBinding' 'kind: Deployment' 'kind: Service'
test_that 'and nothing that is true under Helm only' lacks "$work/kustomized" 'helm|Helm'
test_that 'its namespace admits only restricted pods' has_lines "$work/kustomized" 'pod-security.kubernetes.io/enforce: restricted'
for folder in crd rbac manager samples kubernetes openshift; do
  test_that "kustomize renders config/$folder alone" kubectl kustomize "$root/config/$folder"
done
kubectl kustomize "$root/config/kubernetes" >"$work/plain"
same_files() { diff <(grep '^kind: ' "$work/plain" | sort) <(cat "$root"/config/kubernetes/*.yaml | grep '^kind: ' | sort); }
test_that 'config/kubernetes is the same with apply -k and apply -f' same_files
test_that 'nothing of it is exposed or has a fixed user' lacks "$work/plain" 'kind: (Ingress|Route)|type: (NodePort|LoadBalancer)|runAs(User|Group)|fsGroup'
kubectl kustomize "$root/config/openshift" >"$work/openshift"
test_that 'config/openshift takes the worker from an image stream' has_lines "$work/openshift" 'image: balance-worker:0.1.0'
