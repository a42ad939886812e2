#!/usr/bin/env bash
# Prints the folder with the classes and jars of the peers written in Java, built by Maven when missing.
#
#   bench/peers/build.sh [VERSION]
#
# VERSION is that of Kafka Streams; all others, and without it that one, are those of bench/peers/pom.xml. The folder is
# cached by this folder's content.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../e2e/scripts/lib.sh"
usage_when_asked "$@"
version=${1:-$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$here/pom.xml")}

build() {
  has mvn || fail "Maven is missing" "e2e/scripts/prerequisites.sh bench"
  quietly "building the Java peers" mvn --batch-mode --file "$here/pom.xml" "-Dbuild.folder=$1" "-Dkafka.version=$version" \
    resources:resources compiler:compile dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$1/libs" ||
    fail "Maven could not build the peers" "look at the lines above: is the network or Maven's settings.xml at fault?"
}

cached bench-peers "$({ content_hash "$here" && echo "$version"; } | sha256sum | cut -c1-16)" build
