"""A host that was away finds many deliveries overdue: each goes out once, oldest first per account."""

import os
import time

import pytest
from rostrum import Host, Sandbox

LONG = os.environ.get("ROSTRUM_LONG") == "1"
# The acceptance numbers are 10,000 over 500; the short form keeps their shape.
ACCOUNTS, ROUNDS = (500, 20) if LONG else (100, 10)


@pytest.fixture
def system():
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100000, ROSTRUM_SLOTS=256)
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def test_overdue_deliveries_go_out_once_and_in_order(system):
    sandbox, host = system
    names = [f"account{n}" for n in range(ACCOUNTS)]
    sandbox.accounts(names)
    began = time.time()
    connections = [host.connect_x(name) for name in names]
    posts = [host.write(f"Backlog {number}") for number in range(ROUNDS)]
    # The newest is asked for first, so the order of asking can not be the order of sending. All are far enough in the
    # future that none is due before the host is gone, on a machine of any pace: asking is less work than the above.
    due = time.time() + max(30, 4 * (time.time() - began))
    for number in reversed(range(ROUNDS)):
        for first in range(0, ACCOUNTS, 100):
            host.dispatch(posts[number], connections[first : first + 100], at=due + number * 0.1)
    assert time.time() < due, "asking took longer than planned"
    assert not sandbox.ledger()["entries"]
    host.kill()
    time.sleep(max(0, due + ROUNDS * 0.1 - time.time()))
    host.start()
    host.wait_for_ends(300)

    assert host.counts()["sent"] == ACCOUNTS * ROUNDS
    entries = sandbox.ledger()["entries"]
    assert len(entries) == ACCOUNTS * ROUNDS
    by_account = {}
    for entry in sorted(entries, key=lambda entry: int(entry["id"])):
        by_account.setdefault(entry["account"], []).append(entry["text"])
    expected = [f"Backlog {number}" for number in range(ROUNDS)]
    assert set(by_account) == set(names)
    for account, texts in by_account.items():
        assert texts == expected, account
