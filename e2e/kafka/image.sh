#!/usr/bin/env bash
# Builds the container image balancefleet/kafka:4.4.0 from a Java runtime of Debian and the jars of Maven.
#
#   e2e/kafka/image.sh
#
# Skipped when the Docker Engine in use holds an image of the same content.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
eval "$("$e2e/cluster/env.sh")"

# The image has the version of pom.xml, whatever the tests use.
unset BALANCEFLEET_KAFKA_VERSION
IMAGE=balancefleet/kafka:4.4.0
# A shell for the entrypoint, the tools and kubectl exec, and bash for health checks (/dev/tcp); the rest is the runtime.
PACKAGES=(openjdk-17-jre-headless dash bash coreutils)

content=$(content_hash "$here/image" "$here/image.sh" "$here/pom.xml" "$here/log4j2.properties" "$here/log4j2-cli.properties" \
  "$e2e/scripts/debian-root.sh")
[[ $(docker image inspect --format '{{index .Config.Labels "content"}}' "$IMAGE" 2>/dev/null) != "$content" ]] || exit 0

libs=$("$here/jars.sh")
root=$("$e2e/scripts/debian-root.sh" extract "${PACKAGES[@]}")
context=$(mktemp -d "$cache/kafka-image.XXXXXX")
trap 'rm -rf "$context"' EXIT
cp "$here"/image/* "$here"/log4j2*.properties "$context/"
mkdir -p "$context/bin" "$context/kafka/data"
chmod 1777 "$context/kafka/data"
mv "$context/kafka-run-class.sh" "$context/bin/"
while read -r script; do
  ln -s kafka-run-class.sh "$context/bin/$script.sh"
done < <(awk '!/^#/ { print $2 }' "$here/image/tools")
ln "$root" "$context/root.tar"
cp -rl "$libs" "$context/libs"
former=$(docker image inspect --format '{{.Id}}' "$IMAGE" 2>/dev/null || true)
quietly "building $IMAGE" docker build --quiet --label "content=$content" --tag "$IMAGE" "$context"
[[ -z $former ]] || docker image rm "$former" >/dev/null 2>&1 || true
