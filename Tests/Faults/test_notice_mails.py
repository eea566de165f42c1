"""Mails when the mail server says not now, says no, says nothing, and when the host is killed meanwhile."""

import email
import email.policy

import pytest
from receivers import MailServer, certificate
from rostrum import Host, Refused, Sandbox, eventually


def start(sandbox, mail, **settings):
    host = Host(
        sandbox,
        ROSTRUM_SMTP_SERVER=f"127.0.0.1:{mail.port}",
        ROSTRUM_SMTP_FROM="rostrum@example.org",
        **settings,
    )
    return host


def ids(mail):
    return [email.message_from_bytes(m["text"], policy=email.policy.default)["Message-ID"] for m in mail.mails]


def lose_account(host, sandbox, name):
    """One cause for a notice: the platform takes the token no more."""
    sandbox.accounts([name])
    connection = host.connect_x(name)
    sandbox.faults({"match": {"path": "/2/users/me"}, "count": 1, "action": {"kind": "status", "code": 401}})
    with pytest.raises(Refused):
        host.http.post(f"/api/admin/distribution/connections/{connection}/test?siteId={host.site}")


@pytest.fixture
def stage(tmp_path):
    mail, sandbox = MailServer(), Sandbox("--unlimited")
    host = start(sandbox, mail, ROSTRUM_SMTP_SECURITY="none")
    try:
        host.bootstrap().start()
        yield host, sandbox, mail
    finally:
        host.close()
        sandbox.close()
        mail.close()


def test_not_now_is_tried_again_and_no_is_not(stage):
    host, sandbox, mail = stage
    mail.reply = lambda number: {1: "451 later", 3: "550 nobody of that name"}.get(number, "250 taken")
    lose_account(host, sandbox, "alice")
    eventually(lambda: len(mail.mails) == 1, 60, "the mail came with the second try")
    assert mail.attempts == 2
    lose_account(host, sandbox, "bob")
    eventually(lambda: mail.attempts == 3, 60, "the mail was refused")
    # What follows shows that the refused one does not come again.
    lose_account(host, sandbox, "carol")
    eventually(lambda: len(mail.mails) == 2, 60, "the next mail came")
    assert mail.attempts == 4
    assert len(set(ids(mail))) == 2


def test_a_killed_host_sends_the_same_mail(stage):
    host, sandbox, mail = stage
    # The mail is taken, and the host is killed before it hears of it.
    mail.reply = lambda number: None if number == 1 else "250 taken"
    lose_account(host, sandbox, "alice")
    eventually(lambda: mail.mails, 60, "the mail was taken")
    host.kill()
    host.start()
    eventually(lambda: len(mail.mails) >= 2, 90, "it came again")
    assert len(set(ids(mail))) == 1
    notices = host.http.get("/api/notices")
    assert [notice["kind"] for notice in notices] == ["connection.expired"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_nothing_is_said_without_encryption_or_trust(tmp_path, security):
    tls = certificate(tmp_path)
    # A server that offers no encryption where it is wanted, and one whose certificate nobody knows.
    plain = MailServer()
    unknown = MailServer(tls=tls, implicit=security == "tls")
    sandbox = Sandbox("--unlimited")
    for mail in (plain, unknown):
        host = start(sandbox, mail, ROSTRUM_SMTP_SECURITY=security)
        try:
            host.bootstrap().start()
            lose_account(host, sandbox, f"account{mail.port}")
            log = host.home / "host.log"
            eventually(lambda: host.http.get("/api/notices"), 30, "the notice")
            eventually(lambda: "A mail could not be sent" in log.read_text(errors="replace"), 60, "the try failed")
            assert mail.mails == []
        finally:
            host.close()
    sandbox.close()
    plain.close()
    unknown.close()


def test_implicit_tls_with_a_known_certificate(tmp_path):
    tls = certificate(tmp_path)
    mail = MailServer(user="host", password="secret of the tests", tls=tls, implicit=True)
    sandbox = Sandbox("--unlimited")
    host = start(
        sandbox,
        mail,
        ROSTRUM_SMTP_SECURITY="tls",
        ROSTRUM_SMTP_CA=str(tls[1]),
        ROSTRUM_SMTP_USER="host",
        ROSTRUM_SMTP_PASSWORD="secret of the tests",
    )
    try:
        host.bootstrap().start()
        lose_account(host, sandbox, "alice")
        eventually(lambda: mail.mails, 60, "the mail came")
        assert mail.mails[0]["tls"]
    finally:
        host.close()
        sandbox.close()
        mail.close()
