"""Connecting an account of a simulated platform by its sign-in, with a whole host: what a browser and a person do."""

import subprocess

import pytest
from browser import Browser
from rostrum import Host, Sandbox, binaries, eventually

CALLBACK = "/api/admin/distribution/platforms/x/callback"


@pytest.fixture(scope="module")
def host():
    sandbox = Sandbox("--account", "alice:token-of-alice")
    host = Host(sandbox, TWITTER_CLIENT_ID="demo-x", TWITTER_CLIENT_SECRET="secret-of-demo-x")
    host.environment["TWITTER_CALLBACK_URL"] = f"http://127.0.0.1:{host.port}{CALLBACK}"
    sandbox.app("x", host.environment["TWITTER_CALLBACK_URL"])
    host.bootstrap().start()
    yield host
    host.close()
    sandbox.close()


def start(host, **more):
    body = {"siteId": host.site, "redirectUrl": "/accounts", **more}
    return host.http.post("/api/admin/distribution/platforms/x/connect", body)


def test_an_account_is_connected_publishes_and_is_connected_again(host):
    back = Browser().sign_in(start(host))
    assert back["success"] == "true", back
    connection = int(back["connectionId"])
    post = host.http.post("/api/posts", {"title": "By a sign-in", "excerpt": "By a sign-in."})["id"]
    dispatch = {"siteId": host.site, "postId": post, "connectionIds": [connection]}
    host.http.post("/api/admin/distribution/dispatch", dispatch)
    eventually(lambda: host.sandbox.ledger()["count"] == 1, 60, "the post is there")
    again = Browser().sign_in(start(host, connectionId=connection))
    assert again == {"success": "true", "connectionId": str(connection)}
    told = host.sandbox.oauth("x")
    assert (told["exchanges"], told["kills"], told["refusedExchanges"]) == (2, 0, 0)


def test_no_is_no(host):
    back = Browser().sign_in(start(host), "deny")
    assert (back["error"], back["reason"]) == ("oauth_denied", "denied")
    counted = host.http.get(f"/api/admin/distribution/platforms/x/sign-ins?siteId={host.site}")
    assert counted["outcomes"]["denied"] >= 1


def test_a_platform_that_is_down_says_so(host):
    host.sandbox.faults({"match": {"path": "/2/oauth2/token"}, "action": {"kind": "status", "code": 503}})
    back = Browser().sign_in(start(host))
    assert (back["error"], back["reason"]) == ("platform_unavailable", "unavailable")


def test_nothing_secret_is_in_the_log(host):
    started = start(host)
    Browser().sign_in(started)
    log = (host.home / "host.log").read_text()
    for secret in [started["state"], "secret-of-demo-x", "ticket=", "code="]:
        assert secret not in log


def test_a_callback_address_that_is_not_ours_stops_the_start(host):
    other = Host(host.sandbox, TWITTER_CALLBACK_URL=host.environment["TWITTER_CALLBACK_URL"])
    try:
        done = subprocess.run(
            [str(binaries() / "rostrum"), "serve"], env=other.environment, capture_output=True, timeout=120, text=True
        )
    finally:
        other.close()
    assert done.returncode != 0
    assert "TWITTER_CALLBACK_URL is" in done.stdout + done.stderr
