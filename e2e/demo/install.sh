#!/usr/bin/env bash
# Puts the product of this checkout into the running cluster: images, Kafka, and both charts by Helm.
#
#   e2e/demo/install.sh
#
# Whatever is there already as it should be is left alone, so a second run takes seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

"$e2e/kafka/deploy.sh"
"$e2e/images/build.sh"
"$e2e/images/load.sh"

# chart RELEASE ARGUMENT…: installs or upgrades it, and waits until it works.
chart() {
  local release=$1 output
  shift
  output=$(helm upgrade --install "$release" "$e2e/../charts/$release" --namespace balancefleet-system \
    --create-namespace --wait --timeout 2m "$@" 2>&1) ||
    fail "Helm could not install $release: $output" "kubectl get pods,events --namespace balancefleet-system"
}

# The tag stays "dev" when an image changes: its id in an annotation is what makes a new operator start.
operator=$(docker image inspect --format '{{.Id}}' balancefleet/operator:dev)
chart balancefleet-crds
chart balancefleet --set image.tag=dev --set workerImage.tag=dev --set-string "podAnnotations.image=$operator"
progress "the operator runs (charts balancefleet-crds and balancefleet)"
