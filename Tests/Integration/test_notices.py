"""Notices through the whole program: in the list, as an event, by webhook, and by mail to a small server of the tests."""

import email
import email.policy
import threading
import time

import pytest
from receivers import MailServer, Receiver, certificate
from rostrum import HTTP, Host, Refused, Sandbox, eventually

PASSWORD = "the mail password of the tests"


class Stream(threading.Thread):
    """Listens to the events of a site."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host = host
        self.kinds = []
        self.is_open = threading.Event()
        self.start()
        assert self.is_open.wait(20)

    def run(self):
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.host.port, timeout=120)
        connection.request(
            "GET",
            f"/api/events?siteId={self.host.site}",
            headers={"Authorization": f"Bearer {self.host.http.token}"},
        )
        answer = connection.getresponse()
        self.is_open.set()
        try:
            while line := answer.readline():
                if line.startswith(b"event: "):
                    self.kinds.append(line[7:].strip().decode())
        except OSError:
            pass


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail")
    tls = certificate(folder)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    mail = MailServer(user="host", password=PASSWORD, tls=tls)
    sandbox = Sandbox("--unlimited")
    receiver = Receiver()
    host = Host(
        sandbox,
        ROSTRUM_RATE_LIMITS="x=off",
        ROSTRUM_EGRESS_ALLOW=f"127.0.0.1:{sandbox.port},127.0.0.1:{receiver.port}",
        ROSTRUM_SMTP_SERVER=f"127.0.0.1:{mail.port}",
        ROSTRUM_SMTP_USER="host",
        ROSTRUM_SMTP_PASSWORD_FILE=str(secret),
        ROSTRUM_SMTP_FROM="rostrum@example.org",
        ROSTRUM_SMTP_CA=str(tls[1]),
        ROSTRUM_PUBLIC_URL="https://rostrum.example.org",
    )
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice", "bob"])
        yield host, sandbox, receiver, mail
    finally:
        host.close()
        sandbox.close()
        receiver.close()
        mail.close()


def parsed(mail):
    return email.message_from_bytes(mail["text"], policy=email.policy.default)


def check(host, connection):
    """Asks the platform whether the credentials still work."""
    return host.http.post(f"/api/admin/distribution/connections/{connection}/test?siteId={host.site}")


def test_a_dead_token_is_told_once_everywhere(system):
    host, sandbox, receiver, mail = system
    hook = host.http.post(
        "/api/admin/distribution/webhooks",
        {"siteId": host.site, "url": receiver.url, "eventTypes": ["notice.*"]},
    )
    receiver.secrets.append(hook["secret"])
    stream = Stream(host)
    alice = host.connect_x("alice")
    sandbox.faults({"match": {"path": "/2/users/me"}, "count": 100, "action": {"kind": "status", "code": 401}})
    for _ in range(3):
        with pytest.raises(Refused):
            check(host, alice)
    notices = eventually(lambda: host.http.get("/api/notices"), 20, "the notice")
    assert [(n["kind"], n["subject"], n["severity"]) for n in notices] == [
        ("connection.expired", f"connection:{alice}", "critical")
    ]
    assert "(x)" in notices[0]["title"]
    opened = eventually(lambda: receiver.events("notice.opened"), 20, "the webhook")
    assert opened[0]["data"]["id"] == notices[0]["id"]
    eventually(lambda: "notice.opened" in stream.kinds, 20, "the live event")

    eventually(lambda: mail.mails, 30, "the mail")
    message = parsed(mail.mails[0])
    assert mail.mails[0]["tls"]
    assert mail.mails[0]["from"].startswith("MAIL FROM:<rostrum@example.org>")
    assert mail.mails[0]["to"] == ["RCPT TO:<owner@example.org>"]
    assert message["Subject"] == f"[Test] {notices[0]['title']}"
    assert message["Auto-Submitted"] == "auto-generated"
    assert notices[0]["message"] in message.get_content()
    assert "https://rostrum.example.org" in message.get_content()

    # Each person has a list of their own.
    host.run("user", "create", "--email", "viewer@example.org", "--name", "Viewer", "--json")
    host.run("site", "member", str(host.site), "viewer@example.org", "viewer")
    made = host.run("token", "create", "--email", "viewer@example.org", "--name", "tests", "--json")
    viewer = HTTP(host.port, made["token"])
    path = f"/api/notices/{notices[0]['id']}"
    assert viewer.post(f"{path}/read")["readAt"]
    assert viewer.post(f"{path}/dismiss")["dismissedAt"]
    assert viewer.get("/api/notices") == []
    assert host.http.get("/api/notices")[0]["readAt"] is None
    assert viewer.get("/api/notices/settings") == {"email": None}
    assert viewer.call("PUT", "/api/notices/settings", {"email": "info"}) == {"email": "info"}

    # The cause is gone.
    sandbox.http.call("DELETE", "/_sandbox/faults")
    check(host, alice)
    eventually(lambda: not host.http.get("/api/notices"), 20, "the notice is closed")
    eventually(lambda: receiver.events("notice.closed"), 20, "the webhook hears of it")
    closed = host.http.get("/api/notices?state=closed")
    assert [n["closedAt"] is not None for n in closed] == [True]
    # One cause, one mail, however often it was seen.
    time.sleep(1)
    assert len(mail.mails) == 1


def test_the_password_stands_nowhere(system):
    host, _, _, _ = system
    text = (host.home / "host.log").read_text(errors="replace")
    assert PASSWORD not in text
    environment = open(f"/proc/{host.process.pid}/environ", "rb").read()
    assert PASSWORD.encode() not in environment
