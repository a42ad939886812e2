#!/bin/sh
# Runs one of Kafka's classes: `kafka-run-class.sh CLASS ARGUMENT…`. Each command line tool is a link to this script, named
# like Kafka's own (kafka-topics.sh …). The heap is small: a tool runs within the memory limit of the broker's container.
set -eu
name=$(basename "$0" .sh)
if [ "$name" = kafka-run-class ]; then
  class=${1:?which class?}
  shift
else
  while read -r _ script class _ && [ "$script" != "$name" ]; do :; done </opt/kafka/tools
fi
java=$(echo /usr/lib/jvm/java-17-openjdk-*/bin/java)
exec "$java" -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
  -Dlog4j2.configurationFile=/opt/kafka/log4j2-cli.properties -cp '/opt/kafka/libs/*' "$class" "$@"
