"""Kills the host while it tells others what happened: every event is told, with the same id however often."""

import os
import random
import time

import pytest
from receivers import Receiver
from rostrum import Host, Sandbox, eventually

LONG = os.environ.get("ROSTRUM_LONG") == "1"
POSTS, KILLS = (120, 15) if LONG else (24, 4)


@pytest.fixture
def system():
    sandbox = Sandbox("--unlimited")
    receiver = Receiver()
    host = Host(
        sandbox,
        ROSTRUM_RATE_LIMITS="x=off",
        ROSTRUM_EGRESS_ALLOW=f"127.0.0.1:{sandbox.port},127.0.0.1:{receiver.port}",
    )
    try:
        host.bootstrap().start()
        yield sandbox, host, receiver
    finally:
        host.close()
        sandbox.close()
        receiver.close()


def test_no_event_is_missing_after_kills(system):
    sandbox, host, receiver = system
    seed = int(os.environ.get("ROSTRUM_SEED", random.randrange(1 << 32)))
    print(f"ROSTRUM_SEED={seed}")
    moments = random.Random(seed)
    names = [f"account{n}" for n in range(6)]
    sandbox.accounts(names)
    made = host.http.post(
        "/api/admin/distribution/webhooks", {"siteId": host.site, "url": receiver.url}
    )
    receiver.secrets.append(made["secret"])
    # A receiver with its own troubles.
    receiver.answer = lambda number, event: (500 if number % 7 == 3 else 200, {}, b"")
    connections = [host.connect_x(name) for name in names]
    deliveries = []
    for number in range(POSTS):
        if number % (POSTS // KILLS) == POSTS // KILLS - 1:
            time.sleep(moments.uniform(0, 0.6))
            host.kill()
            host.start()
        answer = host.dispatch_surely(host.write(f"Post {number}"), [connections[number % len(connections)]])
        deliveries += [row["id"] for row in answer["deliveries"]]
    host.wait_for_ends(120)

    def missing():
        told = {event["data"]["id"] for event in receiver.events("delivery.sent")}
        return set(deliveries) - told

    eventually(lambda: not missing(), 120, "every end was told")
    assert receiver.forged == 0
    created = {event["data"]["id"] for event in receiver.events("distribution.created")}
    assert len(created) == POSTS
    # Each distribution ended once, whatever was killed at that moment.
    eventually(lambda: len(receiver.events("distribution.ended")) >= POSTS, 60, "every end was told")
    ended = {event["id"]: event["data"] for event in receiver.events("distribution.ended")}
    assert sorted(data["id"] for data in ended.values()) == sorted(created)
    assert all(data["states"] == {"sent": 1} for data in ended.values())
    # One id for each event and one event for each id, however often it came.
    by_id = {}
    for seen in receiver.seen:
        assert by_id.setdefault(seen["id"], seen["body"]) == seen["body"]
    ends = [event for event in receiver.events() if event["type"] == "delivery.sent"]
    assert len({event["id"] for event in ends}) == len(deliveries)


def test_a_dead_receiver_delays_no_post(system):
    sandbox, host, receiver = system
    sandbox.accounts(["alice"])
    alice = host.connect_x("alice")
    # Nobody listens there; the operator allows the address.
    for number in range(5):
        host.http.post(
            "/api/admin/distribution/webhooks",
            {"siteId": host.site, "url": f"http://127.0.0.1:{receiver.port}/{number}"},
        )
    receiver.close()
    ids = [host.dispatch(host.write(f"Post {n}"), [alice])["deliveries"][0]["id"] for n in range(10)]
    assert all(host.ended(number)["state"] == "sent" for number in ids)
