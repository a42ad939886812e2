package io.balancefleet.bench;

/**
 * The peers of the bench that are written in Java. They read a topic from its first record to the end known at the start
 * and speak as bench/src/peer.rs says.
 *
 * <pre>
 * Peer consumer BROKERS TOPIC
 * Peer processor|dsl BROKERS TOPIC APPLICATION STATE-FOLDER defaults|tuned end|restored|stopped
 * </pre>
 */
public final class Peer {
    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "consumer" -> ConsumerLoop.run(arguments[1], arguments[2]);
            case "processor", "dsl" -> StreamsPeer.run(Settings.of(arguments));
            default -> throw new IllegalArgumentException("consumer, processor or dsl, not " + arguments[0]);
        }
        // Not by returning: threads of clients that are still closing would hold the process up.
        System.exit(0);
    }
}
