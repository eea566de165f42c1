"""Limits, stuck uploads and platforms that are down: who is meant waits, and nobody else."""

import base64
import json
import time
from datetime import datetime

import pytest
from rostrum import Host, Sandbox, eventually

ACCOUNTS = 12
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def system():
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_BREAKER_SECONDS=1, ROSTRUM_BREAKER_NOTICE_SECONDS=2)
    try:
        host.bootstrap().start()
        names = [f"account{n}" for n in range(ACCOUNTS)]
        sandbox.accounts(names)
        yield sandbox, host, [host.connect_x(name) for name in names]
    finally:
        host.close()
        sandbox.close()


def limits(host, connection):
    return host.http.get(f"/api/admin/distribution/connections/{connection}/limits?siteId={host.site}")


def holds(host):
    return host.http.get(f"/api/admin/distribution/queue/status?siteId={host.site}")["holds"]


def posts(sandbox):
    """Time and account of every request that publishes."""
    return [
        (datetime.fromisoformat(r["at"].replace("Z", "+00:00")).timestamp(), r.get("account"))
        for r in sandbox.requests()["requests"]
        if r["path"] == "/2/tweets" and r["method"] == "POST"
    ]


def test_a_stuck_upload_delays_nobody_else(system):
    sandbox, host, connections = system
    status, _, data = host.http.raw(
        "POST", f"/api/media?siteId={host.site}", PICTURE, {"Content-Type": "image/png"}
    )
    assert status == 201, data
    picture = json.loads(data)["data"]["id"]
    hang = {"match": {"account": "account0", "path": "/2/media/upload"}, "action": {"kind": "delay", "ms": 25_000}}
    sandbox.faults(hang)
    began = time.monotonic()
    stuck = host.dispatch(host.write("With a picture", media=[{"mediaId": picture, "alt": "one point"}]), connections[:1])
    number = stuck["deliveries"][0]["id"]
    eventually(lambda: host.delivery(number)["state"] == "sending", 20, "the upload began")
    behind = host.dispatch(host.write("Behind it"), connections[:1])["deliveries"][0]["id"]
    others = []
    for round_ in range(5):
        others += host.dispatch(host.write(f"Others {round_}"), connections[1:])["deliveries"]
    for delivery in others:
        assert host.ended(delivery["id"])["state"] == "sent"
    # Everybody else is through while the upload still hangs, and its own account keeps its order.
    assert host.delivery(number)["state"] == "sending", f"after {time.monotonic() - began} s"
    assert host.delivery(behind)["state"] == "queued"
    assert host.ended(number, 60)["state"] == "sent"
    assert host.ended(behind, 60)["state"] == "sent"
    texts = [entry["text"] for entry in sandbox.ledger()["entries"] if entry["account"] == "account0"]
    assert texts[0].startswith("With a picture") and texts[1].startswith("Behind it")


def test_nothing_is_asked_in_a_closed_window(system):
    sandbox, host, connections = system
    wait = 4
    sandbox.faults(
        {
            "match": {"account": "account0", "path": "/2/tweets"},
            "action": {"kind": "status", "code": 429, "retryAfter": {"seconds": wait, "form": "seconds"}},
        }
    )
    first = host.dispatch(host.write("Refused at first"), connections[:1])["deliveries"][0]["id"]
    eventually(lambda: holds(host), 20, "the account stands still")
    hold = holds(host)[0]
    assert (hold["extent"], hold["connectionId"], hold["reason"]) == ("connection", connections[0], "rateLimited")
    shown = limits(host, connections[0])
    assert shown["holds"] == [hold]
    story = {entry["kind"]: entry["until"] for entry in host.explain(first)["holds"]}
    assert story["blocked"] == hold["until"]
    second = host.dispatch(host.write("Behind it"), connections[:1])["deliveries"][0]["id"]
    other = host.dispatch(host.write("Somebody else"), connections[1:2])["deliveries"][0]["id"]
    assert host.ended(other)["state"] == "sent"
    assert host.ended(first)["state"] == "sent"
    assert host.ended(second)["state"] == "sent"
    times = [at for at, account in posts(sandbox) if account == "account0"]
    assert len(times) == 3
    assert times[1] - times[0] >= wait - 0.05, "asked in the closed window"


def test_what_is_left_is_shown_and_warned_of(system):
    sandbox, host, connections = system
    body = {"count": 20, "windowSeconds": 3600}
    path = f"/api/admin/distribution/connections/{connections[0]}/limits"
    shown = host.http.call("PUT", path, body)
    own = [entry for entry in shown["limits"] if entry["source"] == "override"]
    assert [(entry["limit"], entry["remaining"]) for entry in own] == [(10, 10)] and not shown["warning"]
    for number in range(8):
        delivery = host.dispatch(host.write(f"Number {number}"), connections[:1])["deliveries"][0]["id"]
        assert host.ended(delivery)["state"] == "sent"
    shown = limits(host, connections[0])
    own = [entry for entry in shown["limits"] if entry["source"] == "override"]
    assert own[0]["remaining"] == 2 and own[0]["warning"] and shown["warning"]
    host.http.call("DELETE", path)
    assert not [entry for entry in limits(host, connections[0])["limits"] if entry["source"] == "override"]
    # The command writes to the database; the running host follows.
    host.run("limits", "set", "x", "30/3600", "--account", str(connections[0]), "--json")
    eventually(
        lambda: [entry["limit"] for entry in limits(host, connections[0])["limits"] if entry["source"] == "override"] == [15],
        30,
        "the host follows the command",
    )
    assert host.run("limits", "show", str(connections[0]), "--json")["limits"][0]["source"] == "override"
    host.run("limits", "clear", "x", "--account", str(connections[0]), "--json")


def test_a_platform_that_is_down_is_left_alone_and_comes_back(system):
    sandbox, host, connections = system
    sandbox.faults({"match": {"path": "/2/"}, "action": {"kind": "status", "code": 503}, "count": 100_000})
    deliveries = []
    for number in range(4):
        deliveries += host.dispatch(host.write(f"While it is down {number}"), connections)["deliveries"]
    opened = eventually(
        lambda: [hold for hold in holds(host) if hold["extent"] == "platform"], 60, "the platform's breaker opened", 0.05
    )
    assert opened[0]["reason"] == "breaker"
    shown = eventually(
        lambda: [b for b in limits(host, connections[0])["breakers"] if b["scope"] == "platform" and b["trips"] > 1],
        60,
        "a probe failed",
    )
    assert "503" in shown[0]["error"]
    sandbox.http.call("DELETE", "/_sandbox/faults")
    for delivery in deliveries:
        end = host.ended(delivery["id"], 240)
        assert end["state"] == "sent", host.explain(delivery["id"])
    eventually(lambda: not limits(host, connections[0])["breakers"], 60, "the breakers are closed")
    entries = sandbox.ledger()["entries"]
    assert len({(entry["account"], entry["text"]) for entry in entries}) == len(entries) == len(deliveries)
