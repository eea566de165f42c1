"""A standby takes over while posts go out.

Zero duplicates without a question is promised with synchronous replication. With an asynchronous standby the newest
commits may be lost: then the hosts send nothing, look on the platforms, and wait for a person.
"""

import time

import pytest
from cluster import Cluster, Fleet, Proxy, published
from rostrum import Sandbox, eventually


class System:
    """Two hosts that reach the server through one proxy, and a standby that follows through another."""

    def __init__(self, synchronous):
        self.sandbox = Sandbox()
        self.primary = Cluster().make()
        self.replication = Proxy(self.primary.port)
        self.standby = self.primary.standby("second", synchronous, self.replication.port)
        self.entrance = Proxy(self.primary.port)
        self.fleet = Fleet(self.sandbox, self.primary.url(self.entrance.port), 2).start()
        names = [f"account{number}" for number in range(8)]
        self.sandbox.accounts(names)
        self.connections = [self.fleet[0].connect_x(name) for name in names]

    def plan(self, word, count, start, span):
        """Plans posts over a span; answers with their deliveries by text."""
        host, numbers = self.fleet[0], {}
        for number in range(count):
            text = f"{word} {number}"
            connection = self.connections[number % len(self.connections)]
            delivery = host.dispatch(host.write(text), [connection], at=start + span * number / count)
            numbers[text] = delivery["deliveries"][0]["id"]
        return numbers

    def fail_over(self):
        self.entrance.refuses = True
        self.primary.kill()
        self.standby.promote()
        self.entrance.refuses = False
        self.entrance.retarget(self.standby.port)

    def health(self, host):
        try:
            return host.http.get("/health")
        except Exception:  # not reachable yet, or not well
            return {"status": None}

    def close(self):
        self.fleet.close()
        for part in (self.entrance, self.replication, self.standby, self.primary, self.sandbox):
            part.close()


@pytest.fixture
def system(request):
    system = System(request.param)
    yield system
    system.close()


@pytest.mark.parametrize("system", [True], indirect=True, ids=["synchronous"])
def test_a_synchronous_standby_goes_on_without_a_question(system):
    start = time.time() + 4
    numbers = system.plan("Synchronous", 40, start, 8)
    time.sleep(max(0, start + 4 - time.time()))
    system.fail_over()
    for number in numbers.values():
        host = system.fleet[0]
        row = eventually(lambda: ended(host, number), 120, f"delivery {number} has ended", pause=0.2)
        assert row["state"] == "sent", host.explain(number)
    assert set(published(system.sandbox)) == set(numbers)
    assert [system.health(host)["status"] for host in system.fleet.hosts] == ["healthy", "healthy"]


@pytest.mark.parametrize("system", [False], indirect=True, ids=["asynchronous"])
def test_after_the_loss_of_the_newest_commits_nothing_is_sent_blindly(system):
    start = time.time() + 4
    numbers = system.plan("Asynchronous", 24, start, 6)
    late = system.plan("Planned for later", 4, start + 600, 1)
    time.sleep(max(0, start + 2 - time.time()))
    system.replication.stalls = True
    time.sleep(max(0, start + 6.5 - time.time()))
    host = system.fleet[0]
    eventually(lambda: all(ended(host, n) for n in numbers.values()), 60, "all are published")
    before = set(published(system.sandbox))
    assert before == set(numbers)

    system.fail_over()
    for host in system.fleet.hosts:
        eventually(lambda: system.health(host)["status"] == "onHold", 60, "the host is on hold")
    hold = system.health(host)["hold"]
    print(f"hold after the loss: {hold['cause']}: {hold['reason']}")
    assert hold["cause"] in ("behind", "promoted")
    assert " s and the second after are in doubt" in hold["reason"]
    # What the new server takes for open is looked for and found.
    for number in numbers.values():
        row = eventually(lambda: ended(host, number), 120, f"delivery {number} has ended", pause=0.2)
        assert row["state"] == "sent", host.explain(number)
    new = host.dispatch(host.write("Written on hold"), system.connections[:1])["deliveries"][0]["id"]
    time.sleep(3)
    assert set(published(system.sandbox)) == before
    # A host that starts now finds the hold.
    third = system.fleet.add().start()
    assert system.health(third)["status"] == "onHold"

    assert host.http.post("/api/admin/hold/adopt")["isHeld"] is False
    for one in system.fleet.hosts:
        eventually(lambda: system.health(one)["status"] == "healthy", 60, "the hold has ended")
    assert host.ended(new, 60)["state"] == "sent"
    assert set(published(system.sandbox)) == before | {"Written on hold"}
    assert [host.delivery(number)["state"] for number in late.values()] == ["pending"] * 4
    # A start after that is no news.
    third.stop()
    third.start()
    assert system.health(third)["status"] == "healthy"


def ended(host, number):
    """The delivery when it has ended; nil while the host can not tell."""
    try:
        row = host.delivery(number)
    except Exception:  # the server is being replaced
        return None
    return row if row["state"] in ("sent", "partial", "failed", "unconfirmed", "canceled") else None
