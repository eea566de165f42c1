"""Secrets go where they belong and nowhere else.

Everything between the host and its platform is recorded, so the test knows each code, token and client secret that was
really used, through connecting, publishing, renewing, failing, crashing and disconnecting. Then it looks for each of them,
plain and encoded, in all that the host wrote and answered.
"""

import base64
import os
import re
import resource
import signal
import threading
import urllib.parse
from pathlib import Path

import pytest
from browser import Browser
from cluster import KEY, Cluster, Proxy
from receivers import Receiver
from rostrum import Host, Refused, Sandbox, eventually

PLATFORM = "/api/admin/distribution/platforms/x"
CONNECTIONS = "/api/admin/distribution/connections"
SECRET = "secret-of-demo-x"
# What the name of a value says, in queries, forms, JSON and headers.
VALUES = re.compile(
    rb'(?:[?&"]|\n)(code|code_verifier|state|access_token|refresh_token|token)(?:=|":")([A-Za-z0-9._~%-]{16,})'
)
AUTHORIZATION = re.compile(rb"(?i)\nauthorization: (basic|bearer) (\S+)")


class Recorder(Proxy):
    """Carries what the host says to the sandbox, and keeps all of it."""

    def __init__(self, sandbox):
        self.heard = bytearray()
        self.sandbox = sandbox
        super().__init__(sandbox.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def carry(self, near, far):
        def copy(source, target):
            try:
                while data := source.recv(65536):
                    with self.lock:
                        self.heard += b"\n" + data
                    target.sendall(data)
            except OSError:
                pass
            finally:
                for end in (near, far):
                    try:
                        end.shutdown(2)
                    except OSError:
                        pass

        threading.Thread(target=copy, args=(far, near), daemon=True).start()
        copy(near, far)

    def secrets(self):
        """Every value that was used, by what it was used as."""
        with self.lock:
            heard = bytes(self.heard)
        found = {}
        for name, value in VALUES.findall(heard):
            found.setdefault(name.decode(), set()).add(urllib.parse.unquote(value.decode()))
        for scheme, value in AUTHORIZATION.findall(heard):
            text = value.decode()
            if scheme.lower() == b"basic":
                text = urllib.parse.unquote(base64.b64decode(text).decode().split(":", 1)[1])
            found.setdefault(scheme.decode().lower(), set()).add(text)
        return found


@pytest.fixture
def system():
    sandbox = Sandbox("--account", "alice:token-of-alice")
    recorder = Recorder(sandbox)
    receiver = Receiver()
    cluster = Cluster(logging_collector="off", log_statement="all", log_parameter_max_length="-1").make()
    host = Host(
        recorder,
        DATABASE_URL=cluster.url(),
        OAUTH_ENCRYPTION_KEY=KEY,
        TWITTER_CLIENT_ID="demo-x",
        TWITTER_CLIENT_SECRET=SECRET,
        ROSTRUM_EGRESS_ALLOW=f"127.0.0.1:{recorder.port},127.0.0.1:{receiver.port}",
        ROSTRUM_LOG="debug",
    )
    host.environment["TWITTER_CALLBACK_URL"] = f"http://127.0.0.1:{host.port}{PLATFORM}/callback"
    sandbox.app("x", host.environment["TWITTER_CALLBACK_URL"])
    try:
        yield host, cluster, receiver, recorder
    finally:
        host.close()
        cluster.close()
        recorder.close()
        sandbox.close()
        receiver.close()


def publish(host, connection, text, state):
    post = host.http.post("/api/posts", {"siteId": host.site, "title": text, "excerpt": text})["id"]
    dispatch = {"siteId": host.site, "postId": post, "connectionIds": [connection]}
    made = host.http.post("/api/admin/distribution/dispatch", dispatch)
    delivery = made["deliveries"][0]["id"]
    assert host.ended(delivery)["state"] == state
    return delivery


def answers(host):
    """What the API tells its owner about everything that can be read without more than a site."""
    told = b""
    description = host.http.get("/openapi.json")
    for path, operations in description["paths"].items():
        if "get" in operations and "{" not in path and "stream" not in path and path != "/api/events":
            told += host.http.raw("GET", f"{path}?siteId={host.site}")[2]
    return told


def forms(secret):
    """The ways in which a text may have been written."""
    plain = secret.encode()
    whole = base64.b64encode(plain).rstrip(b"=")
    return {
        plain, urllib.parse.quote(secret, safe="").encode(), plain.hex().encode(), whole,
        base64.urlsafe_b64encode(plain).rstrip(b"="), plain[::-1],
    }


def test_no_secret_is_where_it_does_not_belong(system):
    host, cluster, receiver, recorder = system
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    host.bootstrap().start()
    hook = host.http.post(
        "/api/admin/distribution/webhooks", {"siteId": host.site, "url": receiver.url, "description": "all"}
    )
    receiver.secrets.append(hook["secret"])

    # Connecting, with a person who says no first.
    start = {"siteId": host.site, "redirectUrl": "/accounts"}
    assert "error" in Browser().sign_in(host.http.post(f"{PLATFORM}/connect", start), "deny")
    back = Browser().sign_in(host.http.post(f"{PLATFORM}/connect", start))
    connection = int(back["connectionId"])
    publish(host, connection, "The canary sings", "sent")

    # Renewing, once because a person asks and once because the token has ended.
    host.http.call("PUT", f"{CONNECTIONS}/{connection}/refresh?siteId={host.site}")
    cluster.execute("UPDATE platform_connections SET expires_at = now() - interval '1 minute'")
    publish(host, connection, "The canary sings again", "sent")

    # Failing.
    host.sandbox.sandbox.faults({"match": {"path": "/2/tweets"}, "action": {"kind": "status", "code": 403}})
    publish(host, connection, "The canary is silent", "failed")
    host.sandbox.sandbox.faults({"match": {"path": "/2/oauth2/token"}, "action": {"kind": "status", "code": 503}})
    with pytest.raises(Refused):
        host.http.call("PUT", f"{CONNECTIONS}/{connection}/refresh?siteId={host.site}")

    # Crashing; what a core would hold is not written.
    plugins = host.pids("plugin-x")
    programs = [host.process.pid, *plugins]
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in programs]
    own = b"".join(Path(f"/proc/{pid}/{file}").read_bytes() for pid in plugins for file in ("environ", "cmdline"))
    own += Path(f"/proc/{host.process.pid}/cmdline").read_bytes()
    assert plugins, "no plugin runs"
    for text in limits:
        assert re.search(r"Max core file size\s+[01]\s+[01]\s", text), text
    for pid in plugins:
        os.kill(pid, signal.SIGKILL)
    host.kill()
    host.start()
    publish(host, connection, "The canary is back", "sent")
    told = answers(host)

    # Disconnecting, which ends the tokens at the platform.
    ended = host.http.call("DELETE", f"{CONNECTIONS}/{connection}?siteId={host.site}")
    assert ended["revocation"] == "revoked"
    told += answers(host)
    eventually(lambda: receiver.events("connection.revoked"), 30, "the end was told")
    dump = cluster.tool("pg_dump", "-h", "127.0.0.1", "-p", cluster.port, "-U", "rostrum", "rostrum").encode()
    host.stop()

    used = recorder.secrets()
    assert {"code", "code_verifier", "access_token", "refresh_token", "basic", "bearer", "state"} <= set(used), set(used)
    assert SECRET in used["basic"]
    assert len(used["access_token"]) >= 3 and len(used["refresh_token"]) >= 3
    places = {
        "the log": (host.home / "host.log").read_bytes(),
        "answers": told,
        "the dump": dump,
        "webhooks": b"".join(one["body"] for one in receiver.seen),
        "the plugins' environment and every argv": own,
        "the database's log": (cluster.folder / "log").read_bytes(),
    }
    for folder in (host.home, cluster.data):
        for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
            assert not file.name.startswith("core"), file
            places[str(file.relative_to(folder.parent))] = file.read_bytes()
    # What is looked at is what was written: these texts are no secrets.
    assert b"The canary sings" in places["the dump"] and b"The canary sings" in told
    assert b"connection.revoked" in places["webhooks"] and b"INSERT INTO" in places["the database's log"]
    heard = bytes(recorder.heard)
    for kind, values in used.items():
        for value in values:
            assert kind == "basic" or any(form in heard for form in forms(value)), "the search finds nothing"
            for form in forms(value):
                found = [name for name, content in places.items() if form in content]
                assert not found, f"a {kind} stands in {found}"
    # The key of the host is nowhere but in its own environment.
    for form in {KEY.encode(), bytes.fromhex(KEY)}:
        assert not [name for name, content in places.items() if form in content]
