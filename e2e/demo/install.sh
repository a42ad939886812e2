#!/usr/bin/env bash
# Installs the product of this checkout in the running cluster: images, Kafka and, by Helm, both charts.
#
#   e2e/demo/install.sh
#
# Leaves alone what is already up to date, so a second run takes seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

"$e2e/kafka/deploy.sh"
"$e2e/images/build.sh"
"$e2e/images/load.sh"

# chart RELEASE ARGUMENT…: installs or upgrades the release and waits until it is ready.
chart() {
  local release=$1 output
  shift
  output=$(helm upgrade --install "$release" "$e2e/../charts/$release" --namespace balancefleet-system \
    --create-namespace --wait --timeout 2m "$@" 2>&1) ||
    fail "Helm could not install $release: $output" "kubectl get pods,events --namespace balancefleet-system"
}

# The tag stays "dev" when the image changes; the image id in an annotation makes the operator restart.
operator=$(docker image inspect --format '{{.Id}}' balancefleet/operator:dev)
chart balancefleet-crds
chart balancefleet --set image.tag=dev --set workerImage.tag=dev --set-string "podAnnotations.image=$operator"
progress "the operator is running (charts balancefleet-crds and balancefleet)"
