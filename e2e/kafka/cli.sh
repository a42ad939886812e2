#!/usr/bin/env bash
# Runs one of Kafka's command line tools.
#
#   e2e/kafka/cli.sh ConsumerGroups --bootstrap-server HOST:PORT --describe --group G
#   e2e/kafka/cli.sh Topics --bootstrap-server HOST:PORT --create --topic T --partitions 6
#   e2e/kafka/cli.sh CLASS ARGUMENT…       any class in the jars, by its full name
#
# Names: the first column of e2e/kafka/image/tools.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/java.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no tool given" "e2e/kafka/cli.sh --help"

case $1 in
  *.*) class=$1 ;;
  *)
    read -r class former < <(awk -v tool="$1" '$1 == tool { print $3, $4 }' "$here/image/tools") || true
    # The names of a jar's files are not compressed.
    [[ -z ${former:-} || -z ${BALANCEFLEET_KAFKA_VERSION:-} ]] || grep -qaF "${class//.//}.class" "$("$here/jars.sh")"/kafka-tools-*.jar || class=$former
    ;;
esac
[[ -n $class ]] || fail "unknown tool $1" "e2e/kafka/cli.sh --help"
# A tool runs for about a second; with only the first compiler tier it starts twice as fast.
JAVA_OPTIONS=(-Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto)
java_of "$class" "$here/log4j2-cli.properties" "${@:2}"
