#!/bin/sh
# Formats the log directory of a fresh volume, then becomes the broker. Its settings are those of /etc/kafka/server.properties
# or, without that file, the environment variables that the published image apache/kafka takes (KAFKA_…, CLUSTER_ID).
set -eu
bin=/opt/kafka/bin
: "${CLUSTER_ID:=balancefleet-demo-0001}"
export CLUSTER_ID

if [ -f /etc/kafka/server.properties ]; then
  properties=/etc/kafka/server.properties
  # SCRAM's users can only be made here, before there is a broker that would let one in.
  if [ ! -f /var/lib/kafka/data/meta.properties ]; then
    scram='[name=balance,password=balance-secret]'
    "$bin/kafka-storage.sh" format --cluster-id "$CLUSTER_ID" --config "$properties" \
      --add-scram "SCRAM-SHA-256=$scram" --add-scram "SCRAM-SHA-512=$scram"
  fi
else
  # Kafka's own class writes the settings to a file, and then formats. Where the root is read-only, /tmp is writable.
  configuration=/tmp/kafka-configuration
  properties=$configuration/server.properties
  mkdir -p "$configuration"
  : >"$properties"
  if ! output=$("$bin/kafka-run-class.sh" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /opt/kafka/defaults \
    --mounted-configs-dir /mnt/shared/config --final-configs-dir "$configuration" 2>&1); then
    # Every start but the first ends like this.
    case $output in
      *'already formatted'*) ;;
      *) echo "$output" >&2 && exit 1 ;;
    esac
  fi
fi
java=$(echo /usr/lib/jvm/java-17-openjdk-*/bin/java)
# shellcheck disable=SC2086 # several options in one variable
exec "$java" ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} -XX:+UseSerialGC -XX:-UsePerfData -Djava.awt.headless=true \
  -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
