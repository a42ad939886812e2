package io.balancefleet.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The ledger as it is usually written: annotated classes, Jackson in and out, BigDecimal. */
final class PlainLedger implements Ledger<PlainLedger.Transaction, PlainLedger.Account> {
    private static final ObjectMapper JSON = new ObjectMapper();

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Transaction(
            String transactionId, String customerId, BigDecimal amount, String currency, Kind type, String timestamp) {}

    static final class Account {
        public Map<String, BigDecimal> balances = new TreeMap<>();
        public long count;
        public String lastTransactionId;
        public String lastUpdated;
    }

    @Override
    public Deserializer<Transaction> input() {
        return serde(Transaction.class).deserializer();
    }

    @Override
    public Serde<Transaction> transactions() {
        return serde(Transaction.class);
    }

    @Override
    public Serde<Account> accounts() {
        return serde(Account.class);
    }

    @Override
    public String customer(Transaction transaction) {
        return transaction.customerId();
    }

    @Override
    public Account open() {
        return new Account();
    }

    @Override
    public Account add(Account account, Transaction transaction) {
        var amount = transaction.type().sign < 0 ? transaction.amount().negate() : transaction.amount();
        account.balances.merge(transaction.currency(), amount, BigDecimal::add);
        account.count++;
        account.lastTransactionId = transaction.transactionId();
        account.lastUpdated = transaction.timestamp();
        return account;
    }

    @Override
    public long count(Account account) {
        return account.count;
    }

    @Override
    public long minorUnits(Account account) {
        return account.balances.values().stream().mapToLong(it -> it.movePointRight(2).longValueExact()).sum();
    }

    private static <V> Serde<V> serde(Class<V> kind) {
        return Serdes.serdeFrom(
                (topic, value) -> {
                    try {
                        return value == null ? null : JSON.writeValueAsBytes(value);
                    } catch (IOException error) {
                        throw new SerializationException(error);
                    }
                },
                (topic, bytes) -> {
                    try {
                        return bytes == null ? null : JSON.readValue(bytes, kind);
                    } catch (IOException error) {
                        throw new SerializationException(error);
                    }
                });
    }
}
