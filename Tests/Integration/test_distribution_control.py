"""Distributions held, let go, withdrawn and sent again; the queue's views; what people answer. Through the whole program."""

import threading
import time
import uuid

import pytest
from rostrum import Host, Refused, Sandbox, eventually, timestamp

BASE = "/api/admin/distribution"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLIeo"


@pytest.fixture(scope="module")
def stage():
    sandbox = Sandbox()
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off")
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def accounts(stage, count, *faults):
    """Connects new accounts, whose requests that publish meet these faults."""
    sandbox, host = stage
    names = [f"u{uuid.uuid4().hex[:10]}" for _ in range(count)]
    sandbox.accounts(names)
    for name in names:
        for action in faults:
            sandbox.faults({"match": {"account": name, "method": "POST", "path": "/2/tweets"}, "action": action})
    return [host.connect_x(name) for name in names]


def hook(stage):
    name = f"h{uuid.uuid4().hex[:8]}"
    return stage[1].connect_hook(name, SECRET)


def words():
    """A text that nobody sent before."""
    return f"Words {uuid.uuid4().hex}"


def published(sandbox, text):
    return [entry for entry in sandbox.ledger()["entries"] if text in str(entry)]


def test_a_paused_distribution_sends_nothing_until_it_goes_on(stage):
    sandbox, host = stage
    text = words()
    made = host.dispatch(host.write(text), accounts(stage, 4), at=time.time() + 2)
    path = f"/api/distribution/{made['distributionId']}"
    assert host.http.get(path + "/progress")["phase"] == "scheduled"
    held = host.http.post(path + "/pause")
    assert held == {"waiting": 4, "alreadySending": 0}
    first = made["deliveries"][0]["id"]
    # It is parked when its time has come, and stays so.
    eventually(lambda: host.delivery(first)["state"] == "queued", 20, "its time has come")
    assert {hold["kind"] for hold in host.explain(first)["holds"]} >= {"distributionPaused"}
    assert published(sandbox, text) == []
    assert host.http.get(path + "/progress")["phase"] == "paused"
    host.http.post(path + "/resume")
    for delivery in made["deliveries"]:
        assert host.ended(delivery["id"])["state"] == "sent"
    assert len(published(sandbox, text)) == 4
    status = host.http.get(path + "/status")
    assert (status["phase"], status["percent"], status["states"]) == ("ended", 100, {"sent": 4})
    listed = host.http.get(f"/api/distribution/history?siteId={host.site}&status=sent&platform=twitter&limit=1")
    assert [row["distributionId"] for row in listed] == [made["distributionId"]]


def test_a_canceled_distribution_never_starts(stage):
    sandbox, host = stage
    text = words()
    made = host.dispatch(host.write(text), accounts(stage, 3), at=time.time() + 3600)
    path = f"/api/distribution/{made['distributionId']}"
    assert host.http.post(path + "/cancel") == {"canceled": 3, "alreadySending": 0}
    assert host.http.post(path + "/cancel") == {"canceled": 0, "alreadySending": 0}
    assert host.http.get(path + "/status")["states"] == {"canceled": 3}
    assert published(sandbox, text) == []


def test_what_failed_goes_out_again_or_another_way(stage):
    sandbox, host = stage
    connections = accounts(stage, 3, {"kind": "status", "code": 400, "when": "beforeCommit"})
    text = words()
    made = host.dispatch(host.write(text), connections)
    ids = [delivery["id"] for delivery in made["deliveries"]]
    for number in ids:
        assert host.ended(number)["state"] == "failed"
    failed = host.http.get(f"{BASE}/queue/failed?siteId={host.site}&limit=3")
    assert sorted(int(row["id"]) for row in failed) == sorted(ids)
    assert all(row["failedReason"] for row in failed)
    other = hook(stage)
    story = host.explain(ids[0])
    assert story["choices"] == ["retry", "posted_by_hand", "divert"]
    assert other in [way["connectionId"] for way in story["waysOut"]]
    stand_in = host.http.post(f"{BASE}/logs/{ids[0]}/divert", {"connectionId": other})
    assert stand_in["replaces"] == ids[0]
    assert host.ended(stand_in["id"])["state"] == "sent"
    by_hand = host.http.post(f"{BASE}/logs/{ids[1]}/answer", {"answer": "posted_by_hand", "url": "https://x.com/a/1"})
    assert (by_hand["state"], by_hand["isByHand"], by_hand["url"]) == ("sent", True, "https://x.com/a/1")
    result = host.http.post(f"/api/distribution/{made['distributionId']}/retry-failed")
    assert result == {"retried": [ids[2]], "unconfirmed": 0, "left": [ids[0]]}
    assert host.ended(ids[2])["state"] == "sent"
    assert len(published(sandbox, text)) == 1


def test_what_waits_for_an_account_is_diverted_as_a_whole(stage):
    sandbox, host = stage
    connection, other = accounts(stage, 1)[0], hook(stage)
    due = time.time() + 3600
    planned = [host.dispatch(host.write(words()), [connection], at=due)["deliveries"][0]["id"] for _ in range(20)]
    result = host.http.post(f"{BASE}/connections/{connection}/divert", {"connectionId": other})
    assert [pair["from"] for pair in result["deliveries"]] == planned
    assert result["alreadySending"] == 0
    for pair in result["deliveries"]:
        assert host.delivery(pair["from"])["state"] == "canceled"
        assert host.delivery(pair["to"])["scheduledFor"] == timestamp(due)
    host.http.post(f"/api/distribution/{host.delivery(planned[0])['distributionId']}/cancel")
    assert host.delivery(result["deliveries"][0]["to"])["state"] == "canceled"


def test_an_edited_post_updates_what_is_planned(stage):
    sandbox, host = stage
    old, new = words(), words()
    post = host.write(old)
    body = {
        "siteId": host.site,
        "postId": post,
        "connectionId": accounts(stage, 1)[0],
        "scheduledFor": timestamp(time.time() + 3600),
    }
    made = host.http.post(f"{BASE}/schedules", body)
    plan, number = made["id"], made["deliveryId"]
    edit = host.http.call("PUT", f"/api/posts/{post}", {"siteId": host.site, "title": new})
    assert [row["deliveryId"] for row in edit["outdatedDeliveries"]] == [number]
    update = host.http.post(f"/api/posts/{post}/deliveries/update", {"siteId": host.site})
    assert (update["updated"], update["left"]) == ([number], [])
    story = host.run("why", str(number), "--json")
    assert (story["postVersion"], [hold["kind"] for hold in story["holds"]]) == (2, ["planned"])
    host.http.post(f"{BASE}/schedules/{plan}/dispatch?siteId={host.site}")
    assert host.ended(number)["state"] == "sent"
    assert (len(published(sandbox, new)), len(published(sandbox, old))) == (1, 0)


def test_the_same_content_passes_once(stage):
    sandbox, host = stage
    connection, text = accounts(stage, 1)[0], words()
    posts = [host.write(text) for _ in range(8)]
    answers = []

    def ask(post):
        try:
            answers.append(host.dispatch(post, [connection])["deliveries"][0]["id"])
        except Refused as refused:
            answers.append(refused)

    threads = [threading.Thread(target=ask, args=(post,)) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = [answer for answer in answers if isinstance(answer, int)]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(passed) == 1
    assert {(answer.status, answer.error["code"]) for answer in refused} == {(409, "content_repeated")}
    assert {answer.error["details"]["deliveryId"] for answer in refused} == set(passed)
    assert host.ended(passed[0])["state"] == "sent"
    with pytest.raises(Refused) as late:
        host.dispatch(posts[0], [connection])
    assert late.value.error["details"]["url"].startswith("https://x.com/")
    assert len(published(sandbox, text)) == 1


def test_fifty_equal_requests_make_one_distribution(stage):
    sandbox, host = stage
    post, connection, key = host.write(words()), accounts(stage, 1)[0], str(uuid.uuid4())
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(host.dispatch(post, [connection], key=key))) for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert all(answer == answers[0] for answer in answers)
    with pytest.raises(Refused) as other:
        host.dispatch(post, [connection], key=key, customMessage="else")
    assert (other.value.status, other.value.error["code"]) == (409, "idempotency_key_reused")


def test_a_published_post_is_deleted_on_its_platform(stage):
    sandbox, host = stage
    number = host.dispatch(host.write(words()), accounts(stage, 1))["deliveries"][0]["id"]
    row = host.ended(number)
    assert row["state"] == "sent"
    asked = host.http.call("DELETE", f"{BASE}/logs/{number}/remote")
    assert asked["removal"] in ("asked", "removed")
    gone = eventually(
        lambda: (d := host.delivery(number))["removal"] == "removed" and d, 30, "the post is gone from the platform"
    )
    assert gone["state"] == "sent" and gone["removedAt"]
    with pytest.raises(Refused) as again:
        host.http.call("DELETE", f"{BASE}/logs/{number}/remote")
    assert again.value.error["code"] == "removed"


def test_a_site_and_an_account_are_held(stage):
    sandbox, host = stage
    connection = accounts(stage, 1)[0]
    for path in (f"{BASE}/queue", f"{BASE}/connections/{connection}"):
        text = words()
        host.http.post(f"{path}/pause?siteId={host.site}")
        number = host.dispatch(host.write(text), [connection])["deliveries"][0]["id"]
        eventually(lambda: host.delivery(number)["state"] == "queued", 20, "it is due")
        assert host.explain(number)["choices"] == ["resume", "cancel"]
        assert published(sandbox, text) == []
        host.http.post(f"{path}/resume?siteId={host.site}")
        assert host.ended(number)["state"] == "sent"


def test_the_command_line_makes_one_thing_for_a_key(stage):
    _, host = stage
    key = str(uuid.uuid4())
    address = f"{uuid.uuid4().hex[:8]}@example.org"
    make = ["user", "create", "--email", address, "--name", "N", "--json"]
    first = host.run(*make, "--idempotency-key", key)
    assert host.run(*make, "--idempotency-key", key) == first
    assert first["idempotencyKey"] == key
    with pytest.raises(AssertionError, match="another command"):
        host.run("user", "create", "--email", f"b{address}", "--name", "N", "--idempotency-key", key)
    token = ["token", "create", "--email", address, "--json", "--idempotency-key", "t" + key]
    number = host.run(*token)["id"]
    with pytest.raises(AssertionError, match=f"Token {number} was made under this key before"):
        host.run(*[word for word in token if word != "--json"])
    assert host.run("site", "create", "--name", "Other", "--json")["idempotencyKey"].startswith("cli-")
