package io.balancefleet.bench;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** Where topics end, and how far a group is. */
final class Ends implements AutoCloseable {
    private final Admin admin;

    Ends(String brokers) {
        admin = Admin.create(Map.of("bootstrap.servers", brokers));
    }

    /** Partition → the offset that the next record will get. */
    Map<TopicPartition, Long> of(String topic) throws Exception {
        var described = admin.describeTopics(Set.of(topic)).allTopicNames().get().get(topic);
        var asked = described.partitions().stream()
                .collect(Collectors.toMap(it -> new TopicPartition(topic, it.partition()), it -> OffsetSpec.latest()));
        var options = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
        var ends = new TreeMap<TopicPartition, Long>(
                (one, other) -> Integer.compare(one.partition(), other.partition()));
        admin.listOffsets(asked, options).all().get().forEach((partition, end) -> ends.put(partition, end.offset()));
        return ends;
    }

    /** What the group has committed, of all topics. */
    Map<TopicPartition, Long> committedBy(String group) throws Exception {
        var committed = new HashMap<TopicPartition, Long>();
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((partition, offset) -> {
            if (offset != null) {
                committed.put(partition, offset.offset());
            }
        });
        return committed;
    }

    @Override
    public void close() {
        admin.close();
    }
}
