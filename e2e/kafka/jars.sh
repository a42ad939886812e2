#!/usr/bin/env bash
# Prints the folder with the jars of a Kafka broker and its command line classes. Maven fetches them if missing.
#
#   e2e/kafka/jars.sh
#
#   BALANCEFLEET_KAFKA_VERSION   default: that of e2e/kafka/pom.xml, which has all other versions
#
# The folder is cached by both.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

hash=$({ cat "$here/pom.xml" && echo "${BALANCEFLEET_KAFKA_VERSION:-}"; } | sha256sum | cut -c1-16)
target=$cache/kafka-$hash
libs=$target/libs

fetch() {
  has mvn || fail "Maven is missing" "e2e/scripts/prerequisites.sh kafka"
  local part=$target.part.$$
  # shellcheck disable=SC2064 # the folder's name is meant to be fixed now
  trap "rm -rf '$part'" EXIT
  progress "fetching the Kafka jars with Maven"
  mvn --quiet --batch-mode -Dstyle.color=never --file "$here/pom.xml" ${BALANCEFLEET_KAFKA_VERSION:+"-Dkafka.version=$BALANCEFLEET_KAFKA_VERSION"} dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$part/libs" >&2 </dev/null ||
    fail "Maven could not fetch the Kafka jars" "see the lines above; check the network and Maven's settings.xml"
  # If another run was faster, keep its folder.
  mkdir -p "$cache"
  mv -T "$part" "$target" 2>/dev/null || [[ -d $libs ]]
}

if [[ ! -d $libs ]]; then fetch; fi
echo "$libs"
