"""Kills the host, the plugin and PostgreSQL while posts are due, and counts what the platform got.

The short form runs in `make test`; ROSTRUM_LONG=1 (`make soak`) runs the long one. The seed is printed;
ROSTRUM_SEED repeats a run.
"""

import os
import random
import signal
import threading
import time

import pytest
from rostrum import Host, Sandbox, eventually

LONG = os.environ.get("ROSTRUM_LONG") == "1"
POSTS, CONNECTIONS, SPAN, KILLS = (240, 40, 120, 20) if LONG else (60, 20, 30, 3)
SETTLE = 20


@pytest.fixture
def system():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


class Killer(threading.Thread):
    """Kills each kind of process the given number of times, uniformly over the span."""

    def __init__(self, host, seed, span):
        super().__init__(daemon=True)
        self.host = host
        moments = random.Random(seed)
        victims = ["host", "plugin", "database"] * KILLS
        self.plan = sorted((moments.uniform(1, span), victim) for victim in victims)
        self.done = {"host": 0, "plugin": 0, "database": 0}
        self.last = None
        self.error = None

    def run(self):
        start = time.monotonic()
        try:
            for moment, victim in self.plan:
                time.sleep(max(0, start + moment - time.monotonic()))
                self.strike(victim)
                self.last = time.monotonic()
        except Exception as error:  # shown by the test
            self.error = error

    def strike(self, victim):
        if victim == "host":
            self.host.kill()
            self.host.start(wait=False)
            self.done["host"] += 1
            return

        def hit():
            pids = self.host.pids("plugin-x") if victim == "plugin" else [self.host.postmaster()]
            return any(kill(pid) for pid in pids if pid)

        # The victim may be dead already, from the kill before.
        eventually(hit, 60, f"there is a {victim} to kill", pause=0.05)
        self.done[victim] += 1


def test_nothing_goes_out_twice_and_nothing_is_lost(system):
    sandbox, host = system
    seed = int(os.environ.get("ROSTRUM_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    names = [f"account{n}" for n in range(CONNECTIONS)]
    sandbox.accounts(names)
    connections = [host.connect_x(name) for name in names]

    start = time.time() + 5
    accepted = []
    for number in range(POSTS):
        post = host.write(f"Post {number} of the kill test")
        at = start + SPAN * number / POSTS
        accepted += host.dispatch(post, [connections[number % CONNECTIONS]], at=at)["deliveries"]
    assert len(accepted) == POSTS

    time.sleep(max(0, start - time.time()))
    killer = Killer(host, seed, SPAN)
    killer.start()
    killer.join(SPAN + 300)
    assert killer.error is None, killer.error
    assert killer.done == {"host": KILLS, "plugin": KILLS, "database": KILLS}

    eventually(host.is_ready, 60, "the host is back")
    # The long form holds the host to its promise; the short one runs on machines of any pace.
    host.wait_for_ends(60 + SETTLE - (time.monotonic() - killer.last) if LONG else 600)

    rows = {row["id"]: row for row in host.deliveries()}
    assert sorted(rows) == sorted(delivery["id"] for delivery in accepted)
    others = [row["id"] for row in rows.values() if row["state"] != "sent"]
    assert not others, [host.explain(number) for number in others]

    entries = sandbox.ledger()["entries"]
    texts = [entry["text"] for entry in entries]
    assert len(set(texts)) == len(texts), "a post went out twice"
    assert sorted(entry["url"] for entry in entries) == sorted(row["url"] for row in rows.values())
