package io.balancefleet.bench;

import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The same ledger in both ways to write it. */
final class Topologies {
    static final String STORE = "ledger";

    private Topologies() {}

    /** Hears of every transaction that was applied. */
    interface Applied {
        /** The DSL does not say where a record stood. */
        int UNKNOWN = -1;

        void note(int partition, long offset);
    }

    /** State per input partition, in memory, no repartition: a customer's balance is the sum over partitions. */
    static <T, A> Topology processor(Settings settings, Ledger<T, A> ledger, Applied applied) {
        var store = Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore(STORE), Serdes.String(), ledger.accounts());
        return new Topology()
                .addSource("transactions", new ByteArrayDeserializer(), ledger.input(), settings.topic())
                .addProcessor("apply", () -> new Apply<>(ledger, applied), "transactions")
                .addStateStore(settings.tuned() ? store.withCachingEnabled() : store, "apply");
    }

    /** By customer through a repartition topic, in RocksDB: what the DSL makes of it. */
    static <T, A> Topology dsl(Settings settings, Ledger<T, A> ledger, Applied applied) {
        var builder = new StreamsBuilder();
        var input = Serdes.serdeFrom(ledger.transactions().serializer(), ledger.input());
        builder.stream(settings.topic(), Consumed.with(Serdes.ByteArray(), input))
                .selectKey((key, transaction) -> ledger.customer(transaction))
                .groupByKey(Grouped.with(Serdes.String(), ledger.transactions()))
                .aggregate(
                        ledger::open,
                        (customer, transaction, account) -> {
                            var changed = ledger.add(account, transaction);
                            applied.note(Applied.UNKNOWN, Applied.UNKNOWN);
                            return changed;
                        },
                        Materialized.<String, A, KeyValueStore<Bytes, byte[]>>as(STORE)
                                .withKeySerde(Serdes.String())
                                .withValueSerde(ledger.accounts()));
        var optimised = new java.util.Properties();
        optimised.putAll(settings.client());
        return builder.build(settings.tuned() ? optimised : new java.util.Properties());
    }

    private static final class Apply<T, A> implements Processor<byte[], T, Void, Void> {
        private final Ledger<T, A> ledger;
        private final Applied applied;
        private ProcessorContext<Void, Void> context;
        private KeyValueStore<String, A> store;

        Apply(Ledger<T, A> ledger, Applied applied) {
            this.ledger = ledger;
            this.applied = applied;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            this.context = context;
            store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], T> record) {
            var customer = ledger.customer(record.value());
            var known = store.get(customer);
            store.put(customer, ledger.add(known == null ? ledger.open() : known, record.value()));
            var place = context.recordMetadata().orElseThrow();
            applied.note(place.partition(), place.offset());
        }
    }
}
