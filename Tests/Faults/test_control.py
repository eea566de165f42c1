"""What people asked for holds when the host dies right afterwards."""

import time

import pytest
from rostrum import Host, Sandbox, eventually

BASE = "/api/admin/distribution"


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


def connect(sandbox, host, names):
    sandbox.accounts(names)
    return [host.connect_x(name) for name in names]


@pytest.mark.parametrize("when", ["beforeCommit", "afterCommit"])
def test_a_deletion_ends_whatever_is_killed(system, when):
    sandbox, host = system
    connection = connect(sandbox, host, ["gone"])[0]
    number = host.dispatch(host.write("Not for long"), [connection])["deliveries"][0]["id"]
    assert host.ended(number)["state"] == "sent"
    match = {"account": "gone", "method": "DELETE"}
    sandbox.faults({"match": match, "action": {"kind": "delay", "ms": 4000, "when": when}})
    host.http.call("DELETE", f"{BASE}/logs/{number}/remote")
    # The request is on its way, and its answer is not there yet.
    eventually(
        lambda: [step for step in host.explain(number)["steps"] if step["run"] == 2 and not step["outcome"]],
        30,
        "the request is journaled",
        pause=0.02,
    )
    host.kill()
    host.start()
    row = eventually(
        lambda: (d := host.delivery(number))["removal"] != "asked" and d, 90, "the deletion has ended", pause=0.2
    )
    assert (row["removal"], row["state"]) == ("removed", "sent")
    entries = sandbox.ledger()["entries"]
    assert [entry["deleted"] for entry in entries] == [True]


@pytest.mark.parametrize("when", ["beforeCommit", "afterCommit"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_deletion_of_a_thread_ends_whatever_is_killed(system, place, when):
    sandbox, host = system
    connection = connect(sandbox, host, ["chain"])[0]
    post = host.write("One", segments=[{"text": "Two"}, {"text": "Three"}])
    number = host.dispatch(post, [connection])["deliveries"][0]["id"]
    assert host.ended(number)["state"] == "sent"
    # The newest goes first, so the request at this place deletes the post that many before the end.
    match = {"account": "chain", "method": "DELETE"}
    sandbox.faults({"match": match, "skip": place, "action": {"kind": "delay", "ms": 4000, "when": when}})
    host.http.call("DELETE", f"{BASE}/logs/{number}/remote")

    def removals():
        return [step for step in host.explain(number)["steps"] if step["run"] == 2]

    eventually(
        lambda: len(removals()) == place + 1 and not removals()[-1]["outcome"],
        30,
        "the request is journaled",
        pause=0.02,
    )
    host.kill()
    host.start()
    row = eventually(
        lambda: (d := host.delivery(number))["removal"] != "asked" and d, 90, "the deletion has ended", pause=0.2
    )
    assert (row["removal"], row["state"]) == ("removed", "sent"), host.explain(number)
    assert [part["isRemoved"] for part in row["segments"]] == [True] * 3
    assert [entry["deleted"] for entry in sandbox.ledger()["entries"]] == [True] * 3
    # What was accepted is not asked for again; only the request that was cut off is.
    steps = [step["step"] for step in removals() if step["outcome"] == "accepted"]
    assert sorted(steps) == ["delete", "delete (2)", "delete (3)"]


def test_a_pause_outlives_the_host(system):
    sandbox, host = system
    connections = connect(sandbox, host, [f"held{number}" for number in range(5)])
    made = host.dispatch(host.write("Held"), connections, at=time.time() + 2)
    path = f"/api/distribution/{made['distributionId']}"
    assert host.http.post(path + "/pause") == {"waiting": 5, "alreadySending": 0}
    host.kill()
    host.start()
    for delivery in made["deliveries"]:
        eventually(lambda: host.delivery(delivery["id"])["state"] == "queued", 30, "its time has come")
    assert sandbox.ledger()["entries"] == []
    assert host.http.get(path + "/progress")["phase"] == "paused"
    host.http.post(path + "/resume")
    for delivery in made["deliveries"]:
        assert host.ended(delivery["id"])["state"] == "sent"
    assert len(sandbox.ledger()["entries"]) == 5
