#!/usr/bin/env bash
# Generates files in config/ and charts/: the custom resource definition from the types in crds/, and the kustomize
# manifests from the chart.
#
#   charts/generate.sh            writes the files
#   charts/generate.sh --check    writes nothing; shows differences from the committed files and fails if there are any
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/scripts/lib.sh"
usage_when_asked "$@"
eval "$("$root/e2e/cluster/env.sh")"
has helm || fail "helm is missing" "e2e/cluster/tools.sh helm"

mode=${1:-write}
[[ $mode == write || $mode == --check ]] || fail "unknown argument $mode" "charts/generate.sh --help"
out=$(mktemp -d "${TMPDIR:-/tmp}/balancefleet-generate.XXXXXX")
trap 'rm -rf "$out"' EXIT

mkdir -p "$out"/config/{crd,rbac,manager} "$out/charts/balancefleet-crds/files"
"$e2e/scripts/cargo.sh" run --quiet --release --locked --all-features --bin crdgen \
  >"$out/config/crd/balanceconsumergroups.yaml"
cp "$out/config/crd/balanceconsumergroups.yaml" "$out/charts/balancefleet-crds/files/"

# render TEMPLATE FILE: renders one template of the chart with default values, without lines that only apply to Helm.
render() {
  {
    echo "# Generated from charts/balancefleet/$1: do not edit, run \`make generate\`."
    helm template balancefleet "$root/charts/balancefleet" --namespace balancefleet-system --show-only "$1" |
      sed -e '/^# Source: /d' -e '/helm\.sh\/chart:/d' -e '/app\.kubernetes\.io\/managed-by: Helm$/d' | sed -e '1{/^---$/d}'
  } >"$out/config/$2"
}
render templates/serviceaccount.yaml rbac/serviceaccount.yaml
render templates/rbac.yaml rbac/operator.yaml
render templates/user-roles.yaml rbac/users.yaml
render templates/deployment.yaml manager/deployment.yaml
render templates/service.yaml manager/service.yaml

status=0
while read -r file; do
  if [[ $mode == --check ]]; then
    diff -u --label "committed/$file" --label "generated/$file" "$root/$file" "$out/$file" || status=1
  else
    cmp -s "$out/$file" "$root/$file" || { cp "$out/$file" "$root/$file" && progress "wrote $file"; }
  fi
done < <(cd "$out" && find . -type f -printf '%P\n' | LC_ALL=C sort)
[[ $status == 0 ]] || fail "generated files differ from the committed ones" "run make generate and commit the result"
