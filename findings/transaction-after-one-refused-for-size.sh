#!/usr/bin/env bash
# librdkafka 2.16.0 (confluent-kafka 2.16.1) with Kafka 4.1.0
#
# A transaction contains a record that is larger than the topic's max.message.bytes but within the client's own limit.
# The record is refused with MSG_SIZE_TOO_LARGE, the transaction can be aborted, and abort_transaction() succeeds. The
# next transaction on that partition, of one small record, fails as well ("skipped sequence numbers"), and its record is
# purged. It fails even if a transaction on another partition has been committed in between. The third one commits.
#
# Expected: after a successful abort, the next transaction is independent of the aborted one.
# Seen (max.message.bytes=2000):
#   partition 0, 10 bytes: committed
#   partition 0, 5000 bytes: aborted: MSG_SIZE_TOO_LARGE
#   partition 1, 10 bytes: committed
#   partition 0, 10 bytes: aborted: _PURGE_QUEUE / skipped sequence numbers
#   partition 0, 10 bytes: committed
# Exit code 0: the behaviour is unchanged. 1: it has changed. 2: it could not be tested.
. "$(dirname "$0")/lib.sh"
python_with confluent-kafka==2.16.1
start_kafka 4.1.0
"$python" - "$bootstrap" <<'PYTHON'
import sys
from confluent_kafka import KafkaException, Producer, libversion
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = sys.argv[1]
admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic("t", 2, 1, config={"max.message.bytes": "2000"})])["t"].result()
print("librdkafka", libversion()[0])
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "x"})
producer.init_transactions()


def transaction(partition, size):
    """The outcome of a transaction of one record with `size` bytes."""
    delivered = []
    producer.begin_transaction()
    producer.produce("t", b"v" * size, partition=partition, on_delivery=lambda error, _: delivered.append(error))
    try:
        producer.commit_transaction(30)
        outcome = "committed"
    except KafkaException as raised:
        error = raised.args[0]
        assert error.txn_requires_abort(), error
        producer.abort_transaction(30)
        outcome = "aborted: " + (delivered[0].name() if delivered and delivered[0] else error.name())
        outcome += f" / {error.str()}"
    print(f"partition {partition}, {size} bytes: {outcome}")
    return outcome


def run():
    return [transaction(0, 10), transaction(0, 5000), transaction(1, 10), transaction(0, 10), transaction(0, 10)]


first, large, other, following, last = run()
same = (first == other == last == "committed" and "MSG_SIZE_TOO_LARGE" in large and following.startswith("aborted"))
print("as found" if same else "CHANGED")
sys.exit(0 if same else 1)
PYTHON
