package io.balancefleet.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * The ledger written for speed: JSON by a streaming parser that takes only what is needed, amounts as whole minor units,
 * accounts and repartitioned transactions in a few bytes. All currencies here have two decimals.
 */
final class TunedLedger implements Ledger<TunedLedger.Entry, TunedLedger.Account> {
    private static final JsonFactory JSON = new JsonFactory();

    record Entry(String transactionId, String customerId, long minorUnits, String currency, String timestamp) {}

    /** One currency is the rule; more of them follow in {@code next}. */
    static final class Account {
        String currency;
        long minorUnits;
        Account next;
        long count;
        String lastTransactionId;
        String lastUpdated;
    }

    @Override
    public Deserializer<Entry> input() {
        return (topic, bytes) -> {
            try (var parser = JSON.createParser(bytes)) {
                return read(parser);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
    }

    private static Entry read(JsonParser parser) throws IOException {
        String transactionId = null, customerId = null, currency = null, timestamp = null;
        long minorUnits = 0;
        Kind kind = null;
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            var name = parser.currentName();
            var token = parser.nextToken();
            switch (name) {
                case "transactionId" -> transactionId = parser.getText();
                case "customerId" -> customerId = parser.getText();
                case "currency" -> currency = parser.getText();
                case "timestamp" -> timestamp = parser.getText();
                case "amount" -> minorUnits =
                        minorUnits(parser.getTextCharacters(), parser.getTextOffset(), parser.getTextLength());
                case "type" -> kind = token == JsonToken.VALUE_NUMBER_INT
                        ? Kind.numbered(parser.getIntValue())
                        : Kind.named(parser.getText());
                default -> parser.skipChildren();
            }
        }
        return new Entry(transactionId, customerId, kind.sign * minorUnits, currency, timestamp);
    }

    /** {@code 12.5} is 1250: digits only, with at most two after the point. */
    private static long minorUnits(char[] text, int offset, int length) {
        long minorUnits = 0;
        int decimals = -1;
        for (int place = offset; place < offset + length; place++) {
            if (text[place] == '.') {
                decimals = 0;
                continue;
            }
            int digit = text[place] - '0';
            if (digit < 0 || digit > 9 || decimals == 2) {
                throw new SerializationException("not an amount: " + new String(text, offset, length));
            }
            minorUnits = Math.addExact(Math.multiplyExact(minorUnits, 10L), digit);
            decimals += decimals < 0 ? 0 : 1;
        }
        return Math.multiplyExact(minorUnits, decimals == 2 ? 1L : decimals == 1 ? 10L : 100L);
    }

    @Override
    public Serde<Entry> transactions() {
        return Serdes.serdeFrom(
                (topic, entry) -> {
                    var writer = new Writer(5);
                    writer.text(entry.transactionId()).text(entry.customerId()).text(entry.currency());
                    return writer.text(entry.timestamp()).number(entry.minorUnits()).bytes();
                },
                (topic, bytes) -> {
                    var from = ByteBuffer.wrap(bytes);
                    String transactionId = text(from), customerId = text(from), currency = text(from);
                    var timestamp = text(from);
                    return new Entry(transactionId, customerId, from.getLong(), currency, timestamp);
                });
    }

    @Override
    public Serde<Account> accounts() {
        return Serdes.serdeFrom(
                (topic, account) -> account == null ? null : write(account),
                (topic, bytes) -> bytes == null ? null : read(ByteBuffer.wrap(bytes)));
    }

    private static byte[] write(Account account) {
        var writer = new Writer(6);
        writer.number(account.count).text(account.lastTransactionId).text(account.lastUpdated);
        for (var it = account; it != null; it = it.next) {
            writer.text(it.currency).number(it.minorUnits);
        }
        return writer.bytes();
    }

    private static Account read(ByteBuffer from) {
        var account = new Account();
        account.count = from.getLong();
        account.lastTransactionId = text(from);
        account.lastUpdated = text(from);
        var last = account;
        last.currency = text(from);
        last.minorUnits = from.getLong();
        while (from.hasRemaining()) {
            last.next = new Account();
            last = last.next;
            last.currency = text(from);
            last.minorUnits = from.getLong();
        }
        return account;
    }

    private static String text(ByteBuffer from) {
        int length = from.get() & 0xff;
        var text = new String(from.array(), from.position(), length, StandardCharsets.UTF_8);
        from.position(from.position() + length);
        return text;
    }

    @Override
    public String customer(Entry entry) {
        return entry.customerId();
    }

    @Override
    public Account open() {
        return new Account();
    }

    @Override
    public Account add(Account account, Entry entry) {
        var balance = account;
        while (balance.currency != null && !balance.currency.equals(entry.currency())) {
            if (balance.next == null) {
                balance.next = new Account();
            }
            balance = balance.next;
        }
        balance.currency = entry.currency();
        balance.minorUnits = Math.addExact(balance.minorUnits, entry.minorUnits());
        account.count++;
        account.lastTransactionId = entry.transactionId();
        account.lastUpdated = entry.timestamp();
        return account;
    }

    @Override
    public long count(Account account) {
        return account.count;
    }

    @Override
    public long minorUnits(Account account) {
        long sum = 0;
        for (var it = account; it != null; it = it.next) {
            sum = Math.addExact(sum, it.minorUnits);
        }
        return sum;
    }

    /** Texts of up to 255 bytes with their length before them, numbers in eight bytes. */
    private static final class Writer {
        private final java.io.ByteArrayOutputStream out;

        Writer(int fields) {
            out = new java.io.ByteArrayOutputStream(fields * 24);
        }

        Writer text(String text) {
            var bytes = text.getBytes(StandardCharsets.UTF_8);
            if (bytes.length > 255) {
                throw new SerializationException("longer than 255 bytes: " + text);
            }
            out.write(bytes.length);
            out.writeBytes(bytes);
            return this;
        }

        Writer number(long number) {
            for (int shift = 56; shift >= 0; shift -= 8) {
                out.write((int) (number >>> shift));
            }
            return this;
        }

        byte[] bytes() {
            return out.toByteArray();
        }
    }
}
