"""What the host makes of every way in which an answer can go missing."""

import time

import pytest
from rostrum import Host, Refused, Sandbox

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


class Accounts:
    def __init__(self, sandbox, host):
        self.sandbox, self.host, self.count = sandbox, host, 0

    def x(self):
        """A fresh account for each test, so that none waits for another one's unknown outcome."""
        self.count += 1
        name = f"person{self.count}"
        self.sandbox.accounts([name])
        return name, self.host.connect_x(name)

    def hook(self):
        self.count += 1
        name = f"hook{self.count}"
        return name, self.host.connect_hook(name, SECRET)


@pytest.fixture(scope="module")
def accounts(system):
    return Accounts(*system)


def send(host, connection, title, **more):
    post = host.write(title, **more)
    return host.dispatch(post, [connection])["deliveries"][0]["id"]


def published(sandbox, account, platform="x"):
    return [entry for entry in sandbox.ledger(platform)["entries"] if entry["account"] == account]


def commits(host, delivery):
    steps = host.explain(delivery)["steps"]
    return [step for step in steps if step["class"] == "commit"]


def test_a_slow_timeline_does_not_hide_a_post(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    match = {"account": account}
    sandbox.faults(
        {"match": {**match, "method": "POST", "path": "/2/tweets"}, "action": "resetAfterCommit"},
        {"match": {**match, "method": "POST", "path": "/2/tweets"}, "action": {"kind": "listLag", "ms": 8000}},
    )
    delivery = send(host, connection, "The timeline shows this late")
    row = host.ended(delivery, 90)
    assert row["state"] == "sent"
    assert len(published(sandbox, account)) == 1


def test_the_honest_answer_in_a_wrong_content_type_counts(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    sandbox.faults(
        {"match": {"account": account, "method": "POST", "path": "/2/tweets"}, "action": "wrongContentType"}
    )
    row = host.ended(send(host, connection, "An answer that claims to be a page"), 90)
    assert row["state"] == "sent"
    assert len(published(sandbox, account)) == 1


def test_too_many_requests_cost_no_attempt(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    sandbox.faults(
        {
            "match": {"account": account, "method": "POST", "path": "/2/tweets"},
            "action": {"kind": "status", "code": 429, "retryAfter": {"seconds": 2, "form": "seconds"}},
        }
    )
    delivery = send(host, connection, "Sent after a pause")
    row = host.ended(delivery, 60)
    assert row["state"] == "sent"
    assert row["attempts"] == 1
    assert [step["outcome"] for step in commits(host, delivery)] == ["rejected", "accepted"]


def test_an_outage_of_the_lookup_is_waited_out(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    match = {"account": account}
    sandbox.faults(
        {"match": {**match, "method": "POST", "path": "/2/tweets"}, "action": "resetAfterCommit"},
        {"match": {**match, "method": "GET", "path": "/2/users"}, "action": {"kind": "status", "code": 503}, "count": 2},
    )
    row = host.ended(send(host, connection, "The platform is down when asked"), 120)
    assert row["state"] == "sent"
    assert len(published(sandbox, account)) == 1


def test_a_refused_text_is_not_accepted(system, accounts):
    _, host = system
    _, connection = accounts.x()
    post = host.write("Too long " + "x" * 280)
    with pytest.raises(Refused) as refused:
        host.dispatch(post, [connection])
    assert refused.value.status == 422
    assert refused.value.error["code"] == "post_not_publishable"
    assert refused.value.error["field"] == "connectionIds[0]"


def test_an_edited_text_and_retry_do_not_publish_twice(system, accounts):
    """The first request may be out. Editing the post and asking again must not send another one."""
    sandbox, host = system
    _, connection = accounts.hook()
    account = f"hook{accounts.count}"
    sandbox.faults(
        {"match": {"platform": "webhook", "account": account}, "action": {"kind": "status", "code": 404}}
    )
    post = host.write("First words")
    delivery = host.dispatch(post, [connection])["deliveries"][0]["id"]
    assert host.ended(delivery)["state"] == "failed"
    host.http.call("PUT", f"/api/posts/{post}", {"siteId": host.site, "title": "Second words"})
    host.http.post(f"/api/admin/distribution/logs/{delivery}/retry?siteId={host.site}")
    row = host.ended(delivery)
    assert row["state"] == "sent"
    assert row["postVersion"] == 2
    assert len(published(sandbox, account, "webhook")) == 1
    with pytest.raises(Refused) as refused:
        host.http.post(f"/api/admin/distribution/logs/{delivery}/retry?siteId={host.site}")
    assert refused.value.status == 409


@pytest.mark.parametrize("action", ["resetBeforeCommit", "resetAfterCommit", "truncateBody"])
def test_a_webhook_is_sent_again_under_its_id(system, accounts, action):
    sandbox, host = system
    name, connection = accounts.hook()
    sandbox.faults({"match": {"platform": "webhook", "account": name}, "action": action})
    row = host.ended(send(host, connection, f"Hook after {action if isinstance(action, str) else 'fault'}"), 240)
    assert row["state"] == "sent", host.explain(row["id"])
    assert len(published(sandbox, name, "webhook")) == 1


def test_expired_credentials_mark_the_connection(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    sandbox.http.post(
        "/_sandbox/accounts",
        {"platform": "x", "username": account, "tokens": [{"token": "another"}]},
    )
    row = host.ended(send(host, connection, "Nobody will read this"))
    assert row["state"] == "failed"
    assert row["error"]["kind"] == "authExpired"
    shown = host.http.get(f"/api/admin/distribution/connections/{connection}?siteId={host.site}")
    assert shown["status"] == "expired"
    assert not shown["isActive"]


def test_a_canceled_schedule_is_never_sent(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    post = host.write("Never to be seen")
    due = time.time() + 10
    delivery = host.dispatch(post, [connection], at=due)["deliveries"][0]["id"]
    host.http.post(f"/api/admin/distribution/logs/{delivery}/cancel?siteId={host.site}")
    assert host.delivery(delivery)["state"] == "canceled"
    # A later post of the same account shows that the canceled one had its turn.
    later = host.dispatch(host.write("Sent instead"), [connection], at=due + 0.5)["deliveries"][0]["id"]
    assert host.ended(later)["state"] == "sent"
    assert [entry["text"] for entry in published(sandbox, account)] == ["Sent instead"]


def test_the_same_request_twice_is_one_distribution(system, accounts):
    sandbox, host = system
    account, connection = accounts.x()
    post = host.write("Asked for twice")
    first = host.dispatch(post, [connection], key="the-same-key")
    second = host.dispatch(post, [connection], key="the-same-key")
    assert first == second
    host.ended(first["deliveries"][0]["id"])
    assert len(published(sandbox, account)) == 1
    other = host.write("Another body")
    with pytest.raises(Refused) as refused:
        host.dispatch(other, [connection], key="the-same-key")
    assert refused.value.error["code"] == "idempotency_key_reused"
