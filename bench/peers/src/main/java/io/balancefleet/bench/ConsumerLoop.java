package io.balancefleet.bench;

import java.time.Duration;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Polls and counts, with the settings as they come. */
final class ConsumerLoop {
    private ConsumerLoop() {}

    static void run(String brokers, String topic) throws Exception {
        var report = new Report();
        try (var ends = new Ends(brokers); var consumer = consumer(brokers)) {
            var wanted = ends.of(topic);
            var all = wanted.values().stream().mapToLong(Long::longValue).sum();
            consumer.assign(wanted.keySet());
            consumer.seekToBeginning(wanted.keySet());
            var records = 0L;
            while (records < all) {
                var polled = consumer.poll(Duration.ofMillis(100));
                if (!polled.isEmpty()) {
                    report.first();
                }
                for (var ignored : polled) {
                    records++;
                }
            }
            report.done(records);
            Report.await();
            report.check(records);
            Report.await();
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String brokers) {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", brokers,
                "group.id", "balancefleet-bench-java",
                "enable.auto.commit", false,
                "isolation.level", "read_committed");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
