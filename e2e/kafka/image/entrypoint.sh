#!/bin/sh
# Formats the log directory of a fresh volume, then becomes the broker of /etc/kafka/server.properties.
set -eu
java=$(echo /usr/lib/jvm/java-17-openjdk-*/bin/java)
properties=/etc/kafka/server.properties

# SCRAM's users can only be made here, before there is a broker that would let one in.
if [ ! -f /var/lib/kafka/data/meta.properties ]; then
  scram='[name=balance,password=balance-secret]'
  "$java" -Xmx128m -XX:+UseSerialGC -XX:-UsePerfData -XX:TieredStopAtLevel=1 \
    -Dlog4j2.configurationFile=/opt/kafka/log4j2-cli.properties -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format \
    --cluster-id balancefleet-demo-0001 --config "$properties" \
    --add-scram "SCRAM-SHA-256=$scram" --add-scram "SCRAM-SHA-512=$scram"
fi
# shellcheck disable=SC2086 # several options in one variable
exec "$java" ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} -XX:+UseSerialGC -XX:-UsePerfData -Djava.awt.headless=true \
  -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
