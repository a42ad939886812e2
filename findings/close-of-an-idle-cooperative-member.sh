#!/usr/bin/env bash
# librdkafka 2.16.0 (confluent-kafka 2.16.1) with Kafka 4.1.0
#
# A member of a cooperative-sticky group that owns no partition calls close(). The call returns at once, without an
# error, but sends no LeaveGroup: the broker keeps the member until its session ends, and every rebalance in that time
# waits for it. A member that owns a partition leaves at once. So does an idle member of an eager group, and one that
# calls unsubscribe() and polls before close().
#
# Expected: close() leaves the group whatever the member owns, as its documentation says.
# Seen (session.timeout.ms=10000):
#   cooperative-sticky, no partition: close() took 0.0 s, member gone after 9.8 s
#   cooperative-sticky, one partition: close() took 0.0 s, member gone after 0.0 s
#   range, no partition: close() took 0.0 s, member gone after 0.0 s
#   cooperative-sticky, no partition, unsubscribe() first: close() took 0.0 s, member gone after 0.0 s
# Exit code 0: the behaviour is unchanged. 1: it has changed. 2: it could not be tested.
. "$(dirname "$0")/lib.sh"
python_with confluent-kafka==2.16.1
start_kafka 4.1.0
"$python" - "$bootstrap" <<'PYTHON'
import sys, time
from confluent_kafka import Consumer, libversion
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap, session = sys.argv[1], 10.0
admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic("t", 1, 1)])["t"].result()
print("librdkafka", libversion()[0])


def members(group):
    return admin.describe_consumer_groups([group])[group].result().members


def left_after(group, assignor, owns, unsubscribes):
    """Seconds from close() until the group no longer has the member."""
    config = {"bootstrap.servers": bootstrap, "group.id": group, "partition.assignment.strategy": assignor,
              "session.timeout.ms": int(session * 1000), "heartbeat.interval.ms": 500}
    consumers = [Consumer(config | {"client.id": name}) for name in "ab"]
    for consumer in consumers:
        consumer.subscribe(["t"])
    until = time.time() + 30
    stable = 0
    while stable < 20:
        assert time.time() < until, "the group does not settle"
        for consumer in consumers:
            consumer.poll(0.05)
        stable = stable + 1 if sum(len(it.assignment()) for it in consumers) == 1 and len(members(group)) == 2 else 0
    goes = next(it for it in consumers if bool(it.assignment()) == owns)
    stays = next(it for it in consumers if it is not goes)
    if unsubscribes:
        goes.unsubscribe()
        for _ in range(20):
            goes.poll(0.05)
    began = time.time()
    goes.close()
    took = time.time() - began
    while len(members(group)) == 2:
        stays.poll(0.05)
        assert time.time() < began + 3 * session, "it never left"
    gone = time.time() - began
    stays.close()
    owned = "one partition" if owns else "no partition"
    print(f"{assignor}, {owned}{', unsubscribe() first' if unsubscribes else ''}: close() took {took:.1f} s, "
          f"member gone after {gone:.1f} s")
    return gone


idle = left_after("idle", "cooperative-sticky", False, False)
owning = left_after("owning", "cooperative-sticky", True, False)
eager = left_after("eager", "range", False, False)
unsubscribed = left_after("unsubscribed", "cooperative-sticky", False, True)
same = idle > session / 2 and max(owning, eager, unsubscribed) < 2
print("as found" if same else "CHANGED")
sys.exit(0 if same else 1)
PYTHON
