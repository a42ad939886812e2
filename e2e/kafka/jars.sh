#!/usr/bin/env bash
# Prints the folder with the jars of a Kafka broker and its command line classes. Maven fetches them if missing.
#
#   e2e/kafka/jars.sh
#
# The versions are those of e2e/kafka/pom.xml; the folder is cached by that file's content.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"

hash=$(sha256sum "$here/pom.xml" | cut -c1-16)
target=$cache/kafka-$hash
libs=$target/libs

fetch() {
  has mvn || fail "Maven is missing" "e2e/scripts/prerequisites.sh kafka"
  local part=$target.part.$$
  # shellcheck disable=SC2064 # the folder's name is meant to be fixed now
  trap "rm -rf '$part'" EXIT
  progress "fetching the Kafka jars with Maven"
  mvn --quiet --batch-mode -Dstyle.color=never --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$part/libs" >&2 </dev/null ||
    fail "Maven could not fetch the Kafka jars" "see the lines above; check the network and Maven's settings.xml"
  # If another run was faster, keep its folder.
  mkdir -p "$cache"
  mv -T "$part" "$target" 2>/dev/null || [[ -d $libs ]]
}

if [[ ! -d $libs ]]; then fetch; fi
echo "$libs"
