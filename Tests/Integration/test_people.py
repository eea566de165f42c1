"""People: the first one's link, passwords, sessions and the commands around them, against a running host."""

import json
import re
import subprocess

import pytest
from rostrum import HTTP, Host, Sandbox, binaries, eventually

PASSWORD = "a long password"
PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def host():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        yield host
    finally:
        host.close()
        sandbox.close()


def run(host, *words, text="", **environment):
    return subprocess.run(
        [str(binaries() / "rostrum"), *words],
        env={**host.environment, **environment},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def cookie(headers):
    return headers["set-cookie"].split(";")[0]


def send(host, method, path, body=None, session=None, **headers):
    headers = {**PAGE, **headers, **({"Cookie": session} if session else {})}
    status, headers, data = HTTP(host.port).raw(method, path, body, headers)
    return status, json.loads(data), {name.lower(): value for name, value in headers.items()}


def log(host):
    return (host.home / "host.log").read_text()


def sign_in(host, email, password=PASSWORD):
    return send(host, "POST", "/api/session", {"email": email, "password": password})


def test_people_from_the_first_one_on(host):
    # A link of the command line is replaced by the one of the start, and that by a later one.
    early = run(host, "user", "link")
    assert early.returncode == 0, early.stderr
    host.start()
    eventually(lambda: "There is no user yet" in log(host), 20, "the host shows the way in")
    shown = re.search(r"There is no user yet\. .*: http://\S+/welcome#(\S+)", log(host))
    assert shown, log(host)
    secret = shown.group(1)
    # In that line and nowhere else.
    assert log(host).count(secret) == 1
    body = {"password": PASSWORD, "email": "first@example.org", "name": "First"}
    old = early.stdout.strip().split("#")[1]
    assert send(host, "POST", "/api/session/link", {**body, "secret": old})[0] == 422
    status, answer, headers = send(host, "POST", "/api/session/link", {**body, "secret": secret})
    assert status == 200, answer
    assert "HttpOnly" in headers["set-cookie"] and headers["set-cookie"].startswith("rostrum_session=")
    session = cookie(headers)
    assert send(host, "POST", "/api/session/link", {**body, "secret": secret})[0] == 422

    # The first one is an operator: makes a site, owns it, and lets others in.
    status, answer, _ = send(host, "POST", "/api/sites", {"name": "Mine"}, session)
    assert status == 201, answer
    site = answer["data"]["id"]
    status, answer, headers = send(host, "GET", "/api/session", session=session)
    assert answer["data"]["sites"] == [{"siteId": site, "role": "owner"}]
    session = cookie(headers)  # the role was new
    status, answer, _ = send(host, "POST", "/api/members", {"email": "second@example.org", "role": "editor"}, session)
    assert status == 200, answer
    invitation = {"secret": answer["data"]["linkSecret"], "password": PASSWORD}
    status, answer, headers = send(host, "POST", "/api/session/link", invitation)
    assert status == 200, answer
    second = cookie(headers)
    assert send(host, "POST", "/api/posts", {"title": "Hello"}, second)[0] == 201
    assert send(host, "POST", "/api/posts", {"title": "Hello"}, second, **{"Sec-Fetch-Site": "cross-site"})[0] == 403

    # The command line.
    done = run(host, "user", "role", "second@example.org", str(site), "viewer")
    assert done.returncode == 0, done.stderr
    status, _, headers = send(host, "POST", "/api/posts", {"title": "Hello"}, second)
    assert status == 403
    second = cookie(headers)
    assert send(host, "GET", "/api/posts", session=second)[0] == 200
    done = run(host, "user", "password", "second@example.org", text="quite another one\n")
    assert done.returncode == 0, done.stderr
    assert "quite another one" not in done.stdout + done.stderr
    assert send(host, "GET", "/api/posts", session=second)[0] == 401
    assert sign_in(host, "second@example.org")[0] == 401
    status, _, headers = sign_in(host, "second@example.org", "quite another one")
    assert status == 200
    second = cookie(headers)
    assert run(host, "user", "disable", "second@example.org").returncode == 0
    assert send(host, "GET", "/api/posts", session=second)[0] == 401
    assert sign_in(host, "second@example.org", "quite another one")[0] == 401
    listed = json.loads(run(host, "user", "list", "--json").stdout)["users"]
    assert [bool(user["disabledAt"]) for user in listed] == [False, True]
    assert run(host, "user", "enable", "second@example.org").returncode == 0
    assert sign_in(host, "second@example.org", "quite another one")[0] == 200

    # A restart shows no link any more.
    host.stop()
    before = len(log(host))
    host.start()
    assert "There is no user yet" not in log(host)[before:]
    assert send(host, "GET", "/api/session", session=session)[0] == 200
    needs = run(host, "user", "link")
    assert needs.returncode == 2 and "--email" in needs.stderr
    link = run(host, "user", "link", "--email", "first@example.org")
    status, _, _ = send(
        host, "POST", "/api/session/link", {"secret": link.stdout.strip().split("#")[1], "password": "a third password"}
    )
    assert status == 200
    assert send(host, "GET", "/api/session", session=session)[0] == 401


@pytest.mark.parametrize(
    "words,text,status,says",
    [
        (["user", "password", "nobody@example.org"], PASSWORD + "\n", 3, "nobody@example.org"),
        (["user", "password", "first@example.org"], "", 2, "standard input"),
        (["user", "password", "first@example.org"], "short\n", 1, "allowed are 12"),
        (["user", "disable", "nobody@example.org"], "", 3, "nobody@example.org"),
        (["user", "role", "first@example.org", "1", "king"], "", 2, "allowed are viewer"),
    ],
)
def test_commands_say_what_is_wrong(host, words, text, status, says):
    done = run(host, *words, text=text)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
