"""Webhooks out through the whole program: what happens reaches a receiver, signed, logged and replayed."""

import re

import pytest
from receivers import Receiver
from rostrum import Host, Refused, Sandbox, eventually

BASE = "/api/admin/distribution/webhooks"


@pytest.fixture(scope="module")
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
        sandbox.accounts(["alice", "bob"])
        yield host, receiver
    finally:
        host.close()
        sandbox.close()
        receiver.close()


def make(host, receiver, **more):
    made = host.http.post(BASE, {"siteId": host.site, "url": f"{receiver.url}&n={len(receiver.secrets)}", **more})
    receiver.secrets.append(made["secret"])
    return made


def test_the_story_of_a_post_reaches_a_receiver(system):
    host, receiver = system
    hook = make(host, receiver, description="all")
    assert hook["secret"].startswith("whsec_")
    assert "secret" not in host.http.get(f"{BASE}/{hook['id']}?siteId={host.site}")
    alice = host.connect_x("alice")
    made = host.dispatch(host.write("Told to others"), [alice])
    delivery = made["deliveries"][0]["id"]
    host.ended(delivery)
    eventually(lambda: receiver.events("distribution.ended"), 20, "the end was told")
    kinds = [event["type"] for event in receiver.events()]
    assert kinds == ["connection.created", "distribution.created", "delivery.sent", "distribution.ended"]
    event = receiver.events("delivery.sent")[0]
    assert event["version"] == 1
    assert event["siteId"] == host.site
    assert event["data"]["id"] == delivery
    assert event["data"]["distributionId"] == made["distributionId"]
    whole = receiver.events("distribution.ended")[0]["data"]
    assert (whole["id"], whole["deliveries"], whole["states"]) == (made["distributionId"], 1, {"sent": 1})
    assert re.fullmatch(r"evt_[0-9a-f]{32}", event["id"])
    assert receiver.forged == 0
    assert receiver.ids() == [event["id"] for event in receiver.events()]

    log = host.http.get(f"{BASE}/{hook['id']}/messages?siteId={host.site}")
    assert [row["type"] for row in log] == list(reversed(kinds))
    sent = log[1]["id"]
    eventually(
        lambda: all(
            row["state"] == "delivered" for row in host.http.get(f"{BASE}/{hook['id']}/messages?siteId={host.site}")
        ),
        10,
        "every message is noted as delivered",
    )
    story = host.http.get(f"{BASE}/{hook['id']}/messages/{sent}?siteId={host.site}")
    assert story["body"] == event
    assert [attempt["status"] for attempt in story["log"]] == [200]

    # The very same message again.
    before = len(receiver.seen)
    answer = host.http.post(f"{BASE}/{hook['id']}/replay", {"siteId": host.site, "messageId": sent})
    assert answer == {"replayed": 1, "hasMore": False}
    eventually(lambda: len(receiver.seen) > before, 20, "it came again")
    assert receiver.seen[-1]["id"] == event["id"]
    assert receiver.seen[-1]["body"] == next(s["body"] for s in receiver.seen if s["id"] == event["id"])
    host.http.call("DELETE", f"{BASE}/{hook['id']}?siteId={host.site}")
    host.http.call("DELETE", f"/api/admin/distribution/connections/{alice}?siteId={host.site}")


def test_what_failed_and_what_was_missed_is_replayed(system):
    host, receiver = system
    hook = make(host, receiver, eventTypes=["delivery.*"])
    bob = host.connect_x("bob")
    receiver.answer = lambda number, event: (410, {}, b"gone")
    since = "2020-01-01T00:00:00Z"
    first = host.dispatch(host.write("Nobody hears of me"), [bob])["deliveries"][0]["id"]
    host.ended(first)
    path = f"{BASE}/{hook['id']}"
    state = eventually(
        lambda: (row := host.http.get(f"{path}?siteId={host.site}"))["disabledReason"] and row, 20, "switched off"
    )
    assert state["disabledReason"] == "gone"
    assert not state["isActive"]
    notices = eventually(lambda: host.http.get("/api/notices"), 20, "a notice says so")
    assert [notice["kind"] for notice in notices] == ["webhook.disabled"]
    with pytest.raises(Refused) as refused:
        host.http.post(f"{path}/test", {})
    assert refused.value.status == 409

    second = host.dispatch(host.write("Nobody listens to me"), [bob])["deliveries"][0]["id"]
    host.ended(second)
    receiver.answer = lambda number, event: (200, {}, b"")
    before = len(receiver.seen)
    host.http.call("PATCH", path, {"siteId": host.site, "isActive": True})
    # The end of the second lies before this moment in the outbox, once the reader has passed it.
    def replayed():
        host.http.post(f"{path}/replay", {"siteId": host.site, "since": since})
        told = {event["data"]["id"] for event in receiver.events("delivery.sent")[-50:]}
        return {first, second} <= told
    eventually(replayed, 30, "both ends were told", pause=0.5)
    assert all(seen["genuine"] for seen in receiver.seen[before:])
    eventually(lambda: not host.http.get("/api/notices"), 20, "the notice is closed")
    host.http.call("DELETE", f"{path}?siteId={host.site}")


def test_the_commands(system):
    host, receiver = system
    url = f"{receiver.url}&by=command"
    made = host.run(
        "webhook", "add", "--site", str(host.site), "--url", url, "--events", "delivery.failed,notice.*", "--json"
    )
    receiver.secrets.append(made["secret"])
    listed = host.run("webhook", "list", "--site", str(host.site), "--json")["webhooks"]
    assert [row["url"] for row in listed] == [url]
    tested = host.run("webhook", "test", str(made["id"]), "--json")
    assert tested["state"] == "delivered"
    assert tested["status"] == 200
    assert receiver.ids().count(tested["eventId"]) == 1
    assert host.run("webhook", "replay", str(made["id"]), "--message", str(tested["messageId"]), "--json") == {
        "replayed": 1
    }
    eventually(lambda: receiver.ids().count(tested["eventId"]) == 2, 20, "it came again")
    assert receiver.forged == 0
    assert host.run("notice", "list", "--json") == {"notices": []}
    assert "nothing to do" in host.run("notice", "list")


def test_secrets_and_addresses_stand_in_no_log(system):
    host, receiver = system
    log = (host.home / "host.log").read_text(errors="replace")
    assert "of-the-receiver" not in log
    for secret in receiver.secrets:
        assert secret not in log
        assert secret.removeprefix("whsec_") not in log


def test_private_addresses_are_refused(system):
    host, _ = system
    for url in ("http://127.0.0.1:1/", "https://10.1.2.3/", "http://169.254.169.254/latest", "https://[::1]/"):
        status, _, body = host.http.raw("POST", BASE, {"siteId": host.site, "url": url})
        assert status in (400, 422), (url, body)
