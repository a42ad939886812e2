package io.balancefleet.bench;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;

/** The types of transaction with their signs; the order is that of their numbers, from 1. */
enum Kind {
    TRANSFER("Transfer", 1),
    PAYMENT("Payment", 1),
    DEPOSIT("Deposit", 1),
    WITHDRAWAL("Withdrawal", -1),
    CARD_PAYMENT("CardPayment", -1),
    INTERNATIONAL_TRANSFER("InternationalTransfer", 1),
    BILL_PAYMENT("BillPayment", -1);

    private static final Kind[] ALL = values();

    private final String wire;
    final int sign;

    Kind(String wire, int sign) {
        this.wire = wire;
        this.sign = sign;
    }

    @JsonValue
    String wire() {
        return wire;
    }

    /** The contract allows the number as well as the name. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static Kind of(Object code) {
        return code instanceof Number number ? numbered(number.intValue()) : named((String) code);
    }

    static Kind numbered(int number) {
        return ALL[number - 1];
    }

    static Kind named(String name) {
        for (var kind : ALL) {
            if (kind.wire.equals(name)) {
                return kind;
            }
        }
        throw new IllegalArgumentException(name);
    }
}
