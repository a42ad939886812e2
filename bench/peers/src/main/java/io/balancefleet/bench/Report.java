package io.balancefleet.bench;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;

/** What a peer tells the bench, line by line. */
final class Report {
    private final AtomicBoolean begun = new AtomicBoolean();

    /** The first record is there; later calls say nothing. */
    void first() {
        if (!begun.get() && begun.compareAndSet(false, true)) {
            say("{\"event\":\"first\"}");
        }
    }

    void done(long records) {
        say("{\"event\":\"done\",\"records\":" + records + "}");
    }

    /** What a plain counter adds up to. */
    void check(long records) {
        say("{\"event\":\"check\",\"records\":" + records + "}");
    }

    /** What a ledger adds up to. */
    void check(long records, long minorUnits) {
        say("{\"event\":\"check\",\"records\":" + records + ",\"minorUnits\":" + minorUnits + "}");
    }

    /** That record was processed. */
    void at(int partition, long offset) {
        say("{\"event\":\"at\",\"partition\":" + partition + ",\"offset\":" + offset + "}");
    }

    void restored(long records, long millis) {
        say("{\"event\":\"restored\",\"records\":" + records + ",\"millis\":" + millis + "}");
    }

    /** Waits for the bench's next line, or for its end. */
    static void await() throws IOException {
        int read;
        do {
            read = System.in.read();
        } while (read != -1 && read != '\n');
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
