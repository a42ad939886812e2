package io.balancefleet.bench;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** Runs one Streams application until everything is committed, or until its state is back. */
final class StreamsPeer<T, A> {
    /** Between two looks: each is a request to the broker. */
    private static final Duration LOOK = Duration.ofMillis(20);

    private final Settings settings;
    private final Ledger<T, A> ledger;
    private final Report report = new Report();
    private final LongAdder applied = new LongAdder();
    private final Restores restores = new Restores();
    /** Where the topic ended at the start. */
    private Map<TopicPartition, Long> wanted;

    private StreamsPeer(Settings settings, Ledger<T, A> ledger) {
        this.settings = settings;
        this.ledger = ledger;
    }

    static void run(Settings settings) throws Exception {
        if (settings.tuned()) {
            new StreamsPeer<>(settings, new TunedLedger()).run();
        } else {
            new StreamsPeer<>(settings, new PlainLedger()).run();
        }
    }

    private void run() throws Exception {
        try (var ends = new Ends(settings.brokers())) {
            wanted = ends.of(settings.topic());
            var streams = new KafkaStreams(topology(), properties());
            streams.setGlobalStateRestoreListener(restores);
            streams.start();
            switch (settings.until()) {
                case END -> awaitEnd(streams, ends);
                case RESTORED -> awaitRestored(streams);
                case STOPPED -> {}
            }
            Report.await();
            streams.close(Duration.ofSeconds(20));
        }
    }

    private Topology topology() {
        return settings.dsl()
                ? Topologies.dsl(settings, ledger, this::applied)
                : Topologies.processor(settings, ledger, this::applied);
    }

    private void applied(int partition, long offset) {
        applied.increment();
        if (settings.until() == Settings.Until.END) {
            report.first();
        } else if (offset >= wanted.getOrDefault(new TopicPartition(settings.topic(), partition), Long.MAX_VALUE)) {
            report.at(partition, offset);
        }
    }

    private Properties properties() {
        var properties = new Properties();
        properties.putAll(settings.client());
        return properties;
    }

    private void awaitRestored(KafkaStreams streams) throws Exception {
        while (!restores.isOver() || streams.state() != KafkaStreams.State.RUNNING) {
            mustRun(streams);
            Thread.sleep(LOOK.toMillis());
        }
        report.restored(restores.records(), restores.millis());
    }

    private void awaitEnd(KafkaStreams streams, Ends ends) throws Exception {
        long all = wanted.values().stream().mapToLong(Long::longValue).sum();
        while (applied.sum() < all || !isCommitted(ends)) {
            mustRun(streams);
            Thread.sleep(LOOK.toMillis());
        }
        report.done(applied.sum());
        Report.await();
        check(streams);
    }

    /** The input is committed to its end, and so is what the DSL repartitions, but for a transaction's end marker. */
    private boolean isCommitted(Ends ends) throws Exception {
        var committed = ends.committedBy(settings.application());
        for (var partition : wanted.entrySet()) {
            if (committed.getOrDefault(partition.getKey(), 0L) < partition.getValue()) {
                return false;
            }
        }
        if (!settings.dsl()) {
            return true;
        }
        var repartition = settings.application() + "-" + Topologies.STORE + "-repartition";
        for (var partition : ends.of(repartition).entrySet()) {
            if (committed.getOrDefault(partition.getKey(), 0L) < partition.getValue() - 1) {
                return false;
            }
        }
        return true;
    }

    private static void mustRun(KafkaStreams streams) {
        var state = streams.state();
        if (state == KafkaStreams.State.ERROR || state == KafkaStreams.State.NOT_RUNNING) {
            throw new IllegalStateException("Streams is " + state);
        }
    }

    /** What the state itself says. */
    private void check(KafkaStreams streams) {
        var store = streams.store(
                StoreQueryParameters.fromNameAndType(Topologies.STORE, QueryableStoreTypes.<String, A>keyValueStore()));
        long records = 0;
        long minorUnits = 0;
        try (var accounts = store.all()) {
            while (accounts.hasNext()) {
                var account = accounts.next().value;
                records += ledger.count(account);
                minorUnits += ledger.minorUnits(account);
            }
        }
        report.check(records, minorUnits);
    }
}
