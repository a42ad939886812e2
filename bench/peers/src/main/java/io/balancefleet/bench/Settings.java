package io.balancefleet.bench;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** What a Streams application is to do. */
record Settings(
        boolean dsl,
        String brokers,
        String topic,
        String application,
        String state,
        boolean tuned,
        Until until,
        Map<String, String> more) {

    /** When the application has done what is asked of it. */
    enum Until {
        /** Everything is processed and committed. */
        END,
        /** Its state is back. */
        RESTORED,
        /** It goes on, and tells of every record beyond the end that it found. */
        STOPPED
    }

    /** In the order of the components; the rest is KEY=VALUE, further settings of Streams. */
    static Settings of(String[] arguments) {
        var more = new HashMap<String, String>();
        for (int rest = 7; rest < arguments.length; rest++) {
            var setting = arguments[rest].split("=", 2);
            more.put(setting[0], setting[1]);
        }
        return new Settings(
                arguments[0].equals("dsl"),
                arguments[1],
                arguments[2],
                arguments[3],
                arguments[4],
                arguments[5].equals("tuned"),
                Until.valueOf(arguments[6].toUpperCase(Locale.ROOT)),
                more);
    }

    /** Exactly once on one thread; what is tuned follows. */
    Map<String, Object> client() {
        var settings = new HashMap<String, Object>(Map.of(
                "application.id", application,
                "bootstrap.servers", brokers,
                "state.dir", state,
                "processing.guarantee", "exactly_once_v2",
                "num.stream.threads", 1,
                // Else nobody gets the partitions, and no next start begins, before this member's session is over.
                "consumer.internal.leave.group.on.close", true));
        if (tuned) {
            // Ten times fewer transactions, and a cache that holds what changes between two of them.
            settings.put("commit.interval.ms", 1_000);
            settings.put("statestore.cache.max.bytes", 64L << 20);
            settings.put("topology.optimization", "all");
            settings.put("max.poll.records", 5_000);
            settings.put("consumer.fetch.min.bytes", 100_000);
            settings.put("consumer.max.partition.fetch.bytes", 4 << 20);
            settings.put("producer.batch.size", 256 << 10);
            settings.put("producer.compression.type", "lz4");
            // Members are missed after 10 s and hear of a rebalance within half a second, as the worker's are; partitions
            // move at once instead of at the next probing rebalance, ten minutes later.
            settings.put("consumer.session.timeout.ms", 10_000);
            settings.put("consumer.heartbeat.interval.ms", 500);
            settings.put("acceptable.recovery.lag", Long.MAX_VALUE);
        }
        settings.putAll(more);
        return settings;
    }
}
