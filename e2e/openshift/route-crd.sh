#!/usr/bin/env bash
# Prints the path of the custom resource definition of OpenShift's Route, from OpenShift's own API module.
#
#   e2e/openshift/route-crd.sh
#
# go.mod and go.sum pin the module, which Go fetches; the file is cached by their content.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
has go || fail "go is missing" "e2e/scripts/prerequisites.sh charts"

MODULE=github.com/openshift/api
FILE=route/v1/zz_generated.crd-manifests/routes.crd.yaml

fetch() {
  local answer
  cd "$here"
  answer=$(go mod download -json "$MODULE") || fail "Go could not fetch $MODULE: $answer" "cd e2e/openshift && go mod download"
  install -m 644 "$(jq -r .Dir <<<"$answer")/$FILE" "$1/"
}
folder=$(cached openshift-route "$(content_hash "$here/go.mod" "$here/go.sum" "$here/route-crd.sh")" fetch)
echo "$folder/$(basename "$FILE")"
