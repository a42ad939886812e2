package io.balancefleet.bench;

import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;

/**
 * What is kept of a customer and how it is written: balance per currency, count, last transaction and its time.
 *
 * @param <T> a transaction as the application sees it
 * @param <A> a customer's account
 */
interface Ledger<T, A> {
    /** Reads the topic's JSON. */
    Deserializer<T> input();

    /** Transactions on their way through a repartition topic. */
    Serde<T> transactions();

    Serde<A> accounts();

    String customer(T transaction);

    A open();

    /** The account with the transaction applied; may be the same object. */
    A add(A account, T transaction);

    long count(A account);

    /** Of all currencies together, which all have two decimals here: for the check alone. */
    long minorUnits(A account);
}
