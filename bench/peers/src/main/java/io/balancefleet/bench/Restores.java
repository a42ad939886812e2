package io.balancefleet.bench;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** Counts what is restored, and from when until when. */
final class Restores implements StateRestoreListener {
    private long records;
    private long began;
    private long ended;
    private int running;

    @Override
    public synchronized void onRestoreStart(TopicPartition partition, String store, long from, long to) {
        began = began == 0 ? System.nanoTime() : began;
        running++;
    }

    @Override
    public synchronized void onBatchRestored(TopicPartition partition, String store, long end, long restored) {
        records += restored;
    }

    @Override
    public synchronized void onRestoreEnd(TopicPartition partition, String store, long restored) {
        ended = System.nanoTime();
        running--;
    }

    synchronized boolean isOver() {
        return ended != 0 && running == 0;
    }

    synchronized long records() {
        return records;
    }

    synchronized long millis() {
        return (ended - began) / 1_000_000;
    }
}
