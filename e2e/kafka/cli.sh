#!/usr/bin/env bash
# Runs one of Kafka's command line tools.
#
#   e2e/kafka/cli.sh ConsumerGroups --bootstrap-server HOST:PORT --describe --group G
#   e2e/kafka/cli.sh Topics --bootstrap-server HOST:PORT --create --topic T --partitions 6
#   e2e/kafka/cli.sh CLASS ARGUMENT…       any class in the jars, by its full name
#
# Names: Topics, ConsumerGroups, Configs, Offsets, Transactions, Metadata, Records, ConsoleProducer, ConsoleConsumer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/java.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "no tool given" "e2e/kafka/cli.sh --help"

case $1 in
  Topics) class=org.apache.kafka.tools.TopicCommand ;;
  ConsumerGroups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  Configs) class=kafka.admin.ConfigCommand ;;
  Offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
  Transactions) class=org.apache.kafka.tools.TransactionsCommand ;;
  Metadata) class=org.apache.kafka.tools.MetadataQuorumCommand ;;
  Records) class=org.apache.kafka.tools.DeleteRecordsCommand ;;
  ConsoleProducer) class=org.apache.kafka.tools.ConsoleProducer ;;
  ConsoleConsumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  *.*) class=$1 ;;
  *) fail "unknown tool $1" "e2e/kafka/cli.sh --help" ;;
esac
# A tool runs for about a second; with only the first compiler tier it starts twice as fast.
JAVA_OPTIONS=(-Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto)
java_of "$class" "$here/log4j2-cli.properties" "${@:2}"
