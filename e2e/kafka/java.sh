# shellcheck shell=bash
# Starts Java with the Kafka jars; to be sourced. Includes scripts/lib.sh.
# shellcheck source=../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

JAVA_OPTIONS=() # options of the JVM

# java_of CLASS LOG4J ARGUMENT…: replaces this process with a JVM that runs CLASS.
java_of() {
  local class=$1 log4j=$2 libs
  shift 2
  has java || fail "Java is missing" "e2e/scripts/prerequisites.sh kafka"
  libs=$("$e2e/kafka/jars.sh")
  # The JVM's performance data would litter /tmp.
  exec java -XX:-UsePerfData "${JAVA_OPTIONS[@]}" "-Dlog4j2.configurationFile=$log4j" -cp "$libs/*" "$class" "$@"
}
