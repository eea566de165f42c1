"""A database that stands still for longer than a lease may: deliveries come late, and nothing else happens to them."""

import os
import signal
import time

import pytest
from rostrum import Host, Sandbox

ACCOUNTS = 100
# A node that could not write its heartbeat for 9 s sends nothing any more.
STALL = 11


@pytest.fixture
def system():
    sandbox = Sandbox("--unlimited", "--delay-ms", "20")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100000)
    try:
        host.start()
        host.bootstrap()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def test_a_stalled_database_costs_time_and_no_attempt(system):
    sandbox, host = system
    names = [f"account{n}" for n in range(ACCOUNTS)]
    sandbox.accounts(names)
    began = time.time()
    connections = [host.connect_x(name) for name in names]
    posts = [host.write(f"Stall {number}") for number in range(5)]
    # On a machine of any pace: asking is less work than the above.
    due = time.time() + max(4, 3 * (time.time() - began))
    for post in posts:
        host.dispatch(post, connections, at=due)
    assert time.time() < due, "asking took longer than planned"

    server = host.pids("postgres")
    time.sleep(max(0, due + 0.25 - time.time()))
    for process in server:
        os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(STALL)
    finally:
        for process in server:
            os.kill(process, signal.SIGCONT)
    # The number of attempts below says that nobody waited for another one; this only keeps the test from hanging.
    host.wait_for_ends(300)

    assert host.counts()["sent"] == ACCOUNTS * len(posts)
    entries = sandbox.ledger()["entries"]
    assert len(entries) == ACCOUNTS * len(posts)
    assert len({(entry["account"], entry["text"]) for entry in entries}) == len(entries)
    assert {delivery["attempts"] for delivery in host.deliveries()} == {1}
