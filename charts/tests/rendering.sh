# shellcheck shell=bash
# Tests what the charts render with the values that users set; sourced by test.sh.
# shellcheck disable=SC2154 # operator, definition and work are test.sh's

test_that 'the operator chart passes helm lint' helm lint --strict --quiet "$operator"
test_that 'the chart of the CRD passes helm lint' helm lint --strict --quiet "$definition"

operator >"$work/default"
test_that 'one operator at a time: one replica, the old one gone before the new one comes' \
  has_lines "$work/default" 'replicas: 1' 'type: Recreate'
test_that 'the images are those of this release' \
  has_lines "$work/default" 'image: balancefleet/operator:0.1.0' 'value: balancefleet/worker:0.1.0'
test_that 'the container is restricted and has no fixed user' \
  has_lines "$work/default" 'runAsNonRoot: true' 'allowPrivilegeEscalation: false' 'readOnlyRootFilesystem: true' \
  'type: RuntimeDefault' '- ALL'
test_that 'no user id is fixed' lacks "$work/default" 'runAsUser|runAsGroup|fsGroup'
test_that 'the probes ask for liveness and readiness' \
  has_lines "$work/default" 'httpGet: {path: /livez, port: http}' 'httpGet: {path: /readyz, port: http}'
test_that 'the operator gets its settings by environment' \
  has_lines "$work/default" '- name: WORKER_IMAGE' '- name: WATCH_NAMESPACES' '- name: LOG_LEVEL' 'value: "info"' 'value: json'
test_that 'no rule has a wildcard' lacks "$work/default" "^ *(-|apiGroups:|resources:|verbs:).*[*]"
# verbs_of FILE RESOURCE: the verbs of the resource's rule, which are on the next line.
verbs_of() { grep -A1 -F "resources: [$2]" "$1" | tail -1 | tr -d ' '; }
only_get() { [[ $(verbs_of "$work/default" secrets) == 'verbs:[get]' ]] && [[ $(grep -c secrets "$work/default") == 1 ]]; }
test_that 'Secrets can be read by name and by nothing else' only_get
never_written() { [[ $(verbs_of "$work/default" balanceconsumergroups) == 'verbs:[list,watch]' ]]; }
test_that 'the operator cannot write the objects it serves' never_written
explained() {
  awk '/^rules:/ {inside = 1} /^---/ {inside = 0} inside && /^- apiGroups/ && before !~ /^#/ {print; bad = 1} {before = $0} END {exit bad}' \
    "$work/default"
}
test_that 'every rule says what it is for' explained

operator --set 'watchNamespaces={payments,cards}' >"$work/namespaced"
test_that 'a namespaced operator has a role in each namespace' \
  has_lines "$work/namespaced" 'kind: Role' 'namespace: payments' 'namespace: cards' 'value: "payments,cards"'
test_that 'a namespaced operator has no right in the rest of the cluster' lacks "$work/namespaced" 'kind: Cluster'

operator --set fullnameOverride=fleet --set nameOverride=app >"$work/named"
test_that 'names can be chosen' has_lines "$work/named" 'name: fleet' 'app.kubernetes.io/name: app'
helm template payments "$operator" >"$work/release"
test_that 'two releases do not share names' has_lines "$work/release" 'name: payments-balancefleet-operator'

digest=sha256:$(printf '0%.0s' {1..64})
operator --set "image.digest=$digest" --set workerImage.repository=registry.example/worker --set-string workerImage.tag=2 \
  --set 'imagePullSecrets[0].name=pull' --set image.pullPolicy=Always --set log.level=debug --set log.format=text \
  --set 'extraEnv[0].name=RUST_BACKTRACE' --set-string 'extraEnv[0].value=1' --set nodeSelector.disk=fast \
  --set 'tolerations[0].key=dedicated' --set affinity.nodeAffinity.x=y --set priorityClassName=high \
  --set podAnnotations.a=b --set podLabels.c=d --set commonLabels.e=f --set service.port=9090 \
  --set serviceAccount.annotations.g=h --set resources.limits.memory=1Gi >"$work/options"
test_that 'a digest wins over a tag' has_lines "$work/options" "image: balancefleet/operator@$digest"
test_that 'the worker image can come from another registry' has_lines "$work/options" 'value: registry.example/worker:2'
test_that 'what people set arrives' has_lines "$work/options" '- name: pull' 'imagePullPolicy: Always' 'value: "debug"' \
  'value: text' '- name: RUST_BACKTRACE' 'disk: fast' '- key: dedicated' 'x: "y"' 'priorityClassName: high' 'a: b' 'c: d' 'e: f' \
  'port: 9090' 'g: h' 'memory: 1Gi'
operator --set commonLabels.team=a --set podLabels.team=b --show-only templates/deployment.yaml >"$work/labels"
operator --set commonLabels.team=a --show-only templates/deployment.yaml >"$work/common-labels"
# Once on the Deployment, once on its pods.
once_each() { [[ $(grep -c ' team: a$' "$work/common-labels") == 2 && $(grep -c ' team:' "$work/labels") == 2 ]] && grep -q ' team: b$' "$work/labels"; }
test_that 'a label of the pods wins over a common one and is there once' once_each
operator --set serviceAccount.create=false --set serviceAccount.name=mine --set rbac.create=false \
  --set rbac.aggregateToUserRoles=false >"$work/own"
test_that 'an account and roles of one'\''s own are used' has_lines "$work/own" 'serviceAccountName: mine'
test_that 'and then none are made' lacks "$work/own" '^kind: (ServiceAccount|ClusterRole|Role)'

helm install balancefleet "$operator" --namespace fleets --dry-run=client >"$work/notes"
test_that 'the notes say that the CRD is missing and how to go on' has_lines "$work/notes" \
  'helm install balancefleet-crds charts/balancefleet-crds --namespace fleets' \
  'kubectl get bcg --watch                # partitions, replicas, lag'

helm template crds "$definition" >"$work/definition"
test_that 'the CRD stays when its chart is uninstalled' has_lines "$work/definition" 'helm.sh/resource-policy: keep'
helm template crds "$definition" --set keep=false --set annotations.a=b --set labels.c=d >"$work/definition-options"
test_that 'unless it is told otherwise' lacks "$work/definition-options" 'resource-policy'
test_that 'the CRD takes labels and annotations' has_lines "$work/definition-options" 'a: b' 'c: d'
test_that 'no number of the CRD is written as a fraction or a power' lacks "$work/definition" '(minimum|maximum|max[A-Z][a-z]+): .*[.e]'
