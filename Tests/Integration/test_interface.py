"""The HTTP interface: every kind of wrong request, and what clients rely on."""

import json
import time

import pytest
from rostrum import HTTP, Host, Refused, Sandbox, eventually


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100000)
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice", "bob"])
        host.connections = [host.connect_x("alice"), host.connect_x("bob")]
        host.posts = [host.write(f"Post {n}") for n in range(3)]
        host.delivery_id = host.dispatch(host.posts[0], host.connections)["deliveries"][0]["id"]
        host.ended(host.delivery_id)
        yield host
    finally:
        host.close()
        sandbox.close()


@pytest.fixture(scope="module")
def viewer(system):
    system.run("user", "create", "--email", "viewer@example.org", "--name", "Viewer", "--json")
    system.run("site", "member", str(system.site), "viewer@example.org", "viewer")
    made = system.run("token", "create", "--email", "viewer@example.org", "--name", "tests", "--json")
    return HTTP(system.port, made["token"])


@pytest.fixture(scope="module")
def stranger(system):
    system.run("user", "create", "--email", "stranger@example.org", "--name", "Stranger", "--json")
    other = system.run("site", "create", "--name", "Elsewhere", "--owner", "stranger@example.org", "--json")
    made = system.run("token", "create", "--email", "stranger@example.org", "--name", "tests", "--json")
    client = HTTP(system.port, made["token"])
    client.site = other["id"]
    return client


def expect(status, code, field=None):
    class Expectation:
        def __enter__(self):
            self.context = pytest.raises(Refused)
            self.info = self.context.__enter__()
            return self

        def __exit__(self, *arguments):
            result = self.context.__exit__(*arguments)
            refused = self.info.value
            assert (refused.status, refused.error["code"]) == (status, code), str(refused)
            if field is not None:
                assert refused.error["field"] == field
            assert refused.error["message"]
            return result

    return Expectation()


def snapshot(host):
    # What other tests have asked for goes out by itself and moves the counts meanwhile.
    moving = ("queued", "sending", "retrying")
    eventually(lambda: not any(host.counts()[state] for state in moving), 120, "nothing moves by itself")
    return host.http.get(f"/api/posts?siteId={host.site}&limit=100"), host.counts()


def test_a_wrong_request_names_what_is_wrong_and_changes_nothing(system):
    host = system
    before = snapshot(host)
    site = host.site
    with expect(400, "wrongType", "title"):
        host.http.post("/api/posts", {"siteId": site, "title": 7})
    with expect(400, "unknown", "titel"):
        host.http.post("/api/posts", {"siteId": site, "title": "x", "titel": "y"})
    with expect(400, "missing", "title"):
        host.http.post("/api/posts", {"siteId": site})
    with expect(400, "outOfRange", "limit"):
        host.http.get(f"/api/posts?siteId={site}&limit=1000")
    with expect(400, "unknown", "lmit"):
        host.http.get(f"/api/posts?siteId={site}&lmit=10")
    with expect(404, "media_not_found", "media[0].mediaId"):
        host.http.post("/api/posts", {"siteId": site, "title": "x", "media": [{"mediaId": 999999}]})
    with expect(404, "post_not_found", "postId"):
        host.dispatch(999999, host.connections)
    with expect(422, "connection_not_found", "connectionIds[0]"):
        host.dispatch(host.posts[0], [999999])
    with expect(422, "connection_named_twice", "connectionIds[1]"):
        host.dispatch(host.posts[0], [host.connections[0]] * 2)
    with expect(422, "target_not_found", "targetIds[0]"):
        host.http.post("/api/admin/distribution/dispatch", {"siteId": site, "postId": host.posts[0], "targetIds": [9]})
    assert snapshot(host) == before


def test_broken_bodies_are_refused(system):
    host = system
    for body in (b"", b"{", b"[1]", b'{"title":"a","title":"b"}', b"\xff\xfe", b'{"title":"a"} x'):
        status, _, data = host.http.raw("POST", "/api/posts", body, {"Content-Type": "application/json"})
        assert status == 400, body
        assert json.loads(data)["error"]["code"]
    status, _, data = host.http.raw("POST", "/api/posts", b"title=a", {"Content-Type": "application/x-www-form-urlencoded"})
    assert (status, json.loads(data)["error"]["code"]) == (415, "unsupported_media_type")
    large = json.dumps({"siteId": host.site, "title": "x", "content": "y" * (2 << 20)}).encode()
    status, _, _ = host.http.raw("POST", "/api/posts", large, {"Content-Type": "application/json"})
    assert status == 413


def test_without_a_token_there_is_no_answer(system):
    nobody = HTTP(system.port)
    with expect(401, "unauthorized"):
        nobody.get(f"/api/posts?siteId={system.site}")
    wrong = HTTP(system.port, "rst_" + "A" * 43)
    with expect(401, "unauthorized"):
        wrong.get(f"/api/posts?siteId={system.site}")


def test_a_viewer_reads_and_changes_nothing(system, viewer):
    site = system.site
    assert viewer.get(f"/api/posts/{system.posts[0]}?siteId={site}")["id"] == system.posts[0]
    for method, path, body in [
        ("POST", "/api/posts", {"siteId": site, "title": "x"}),
        ("POST", "/api/admin/distribution/dispatch", {"siteId": site, "postId": 1, "connectionIds": [1]}),
        ("DELETE", f"/api/posts/{system.posts[0]}?siteId={site}", None),
        ("POST", f"/api/admin/distribution/logs/{system.delivery_id}/retry?siteId={site}", None),
        ("DELETE", f"/api/admin/distribution/connections/{system.connections[0]}?siteId={site}", None),
    ]:
        with expect(403, "forbidden"):
            viewer.call(method, path, body)


def test_a_foreign_site_does_not_exist(system, stranger):
    site, own = system.site, stranger.site
    with expect(404, "site_not_found", "siteId"):
        stranger.get(f"/api/posts?siteId={site}")
    for path in (
        f"/api/posts/{system.posts[0]}",
        f"/api/admin/distribution/connections/{system.connections[0]}",
        f"/api/admin/distribution/logs/{system.delivery_id}",
    ):
        with pytest.raises(Refused) as refused:
            stranger.get(f"{path}?siteId={own}")
        assert refused.value.status == 404
    with expect(422, "connection_not_found", "connectionIds[0]"):
        mine = stranger.post("/api/posts", {"siteId": own, "title": "Mine"})["id"]
        stranger.post(
            "/api/admin/distribution/dispatch",
            {"siteId": own, "postId": mine, "connectionIds": [system.connections[0]]},
        )
    with pytest.raises(Refused) as refused:
        stranger.post(f"/api/admin/distribution/logs/{system.delivery_id}/cancel?siteId={own}")
    assert refused.value.status == 404
    assert [s["id"] for s in stranger.get("/api/sites")] == [own]


def test_an_edit_of_an_old_version_is_refused(system):
    post = system.write("Before")
    body = {"siteId": system.site, "title": "After"}
    edited = system.http.call("PUT", f"/api/posts/{post}", body, {"If-Match": '"1"'})
    assert edited["version"] == 2
    with expect(409, "version_conflict", "version"):
        system.http.call("PUT", f"/api/posts/{post}", body, {"If-Match": '"1"'})
    first = system.http.get(f"/api/posts/{post}?siteId={system.site}&version=1")
    assert (first["title"], first["version"]) == ("Before", 1)


def test_old_words_of_clients_are_understood(system):
    """The bodies of both documents reach the same distribution."""
    target = system.http.post(
        "/api/admin/distribution/targets",
        {
            "siteId": system.site, "connectionId": system.connections[0], "name": "Main", "isActive": True,
            "defaultPayload": {"hashtags": ["startup"], "includeLink": True}, "rateLimitPerHour": 50,
        },
    )
    assert (target["platform"], target["channel"]) == ("x", "x")
    post = system.write("Read by both", excerpt="Unused because there is a message")
    answer = system.http.post(
        "/api/admin/distribution/dispatch",
        {"siteId": system.site, "postId": post, "targetIds": [target["id"]], "requestAiAssets": False,
         "customMessage": "Our own words"},
    )
    assert answer["jobIds"] == [str(answer["deliveries"][0]["id"])]
    row = system.ended(answer["deliveries"][0]["id"])
    assert row["state"] == "sent"
    listed = system.http.get(f"/api/admin/distribution/connections?siteId={system.site}&platform=twitter")
    assert {c["platform"] for c in listed} == {"x"}


def test_schedules_are_made_moved_and_withdrawn(system):
    base = "/api/admin/distribution/schedules"
    body = {
        "siteId": system.site, "postId": system.write("Planned"), "connectionId": system.connections[0],
        "scheduledFor": "2027-11-22T09:00:00Z", "options": {"customMessage": f"Good morning {time.time()}"},
    }
    made = system.http.post(base, body)
    assert made["status"] == "pending"
    sent = system.http.post(f"{base}/{made['id']}/dispatch?siteId={system.site}")
    assert system.ended(sent["deliveryId"])["state"] == "sent"
    with pytest.raises(Refused) as refused:
        system.http.post(f"{base}/{made['id']}/dispatch?siteId={system.site}")
    assert refused.value.status == 409
    other = system.http.post(base, body)
    assert system.http.call("DELETE", f"{base}/{other['id']}?siteId={system.site}") == {"canceled": True}
    assert system.http.get(f"{base}/{other['id']}?siteId={system.site}")["status"] == "canceled"
