"""The command line: its exit codes, its words about wrong use, and what README says of it."""

import json
import re
import subprocess

import pytest
from rostrum import HTTP, ROOT, Host, Sandbox, binaries, eventually

DONE, FAILED, WRONG_USE, NOT_FOUND = 0, 1, 2, 3


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice"])
        host.connection = host.connect_x("alice")
        host.delivery_id = host.dispatch(host.write("Hello"), [host.connection])["deliveries"][0]["id"]
        host.ended(host.delivery_id)
        yield host
    finally:
        host.close()
        sandbox.close()


def run(host, *arguments, **environment):
    return subprocess.run(
        [str(binaries() / "rostrum"), *arguments],
        env={**host.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


ENDS = [
    (["--help"], DONE, "usage: rostrum COMMAND"),
    (["--version"], DONE, "rostrum "),
    (["doctor"], DONE, "ok    database"),
    (["migrate"], DONE, "up to date"),
    (["user", "list"], DONE, "owner@example.org"),
    (["token", "list"], DONE, "owner@example.org"),
    (["site", "list"], DONE, "Test"),
    (["plugin", "list"], DONE, "webhook"),
    (["why", "{delivery}"], DONE, "Published at https://x.com/alice/status/"),
    # Another one serves the home.
    (["serve"], FAILED, "is in use"),
    (["user", "create", "--email", "owner@example.org"], FAILED, "owner@example.org"),
    ([], WRONG_USE, "usage"),
    (["publish"], WRONG_USE, "There is no command “publish”"),
    (["serve", "now"], WRONG_USE, "“now” is one word too many"),
    (["serve", "--port", "80"], WRONG_USE, "The option --port is not known; allowed are --config"),
    (["user"], WRONG_USE, "`rostrum user create`"),
    (["user", "create"], WRONG_USE, "needs --email"),
    (["user", "create", "--email"], WRONG_USE, "--email needs a value"),
    (["user", "create", "--email", "nobody"], WRONG_USE, "“nobody” is no e-mail address"),
    (["site", "member", "1", "owner@example.org", "king"], WRONG_USE, "allowed are viewer, author"),
    (["why"], WRONG_USE, "needs DELIVERY"),
    (["why", "abc"], WRONG_USE, "DELIVERY is “abc”; allowed is a whole number from 1"),
    (["serve", "--config", "/does/not/exist"], WRONG_USE, "/does/not/exist can not be read"),
    (["why", "999999"], NOT_FOUND, "There is no delivery 999999"),
    (["token", "create", "--email", "nobody@example.org"], NOT_FOUND, "nobody@example.org"),
    (["token", "revoke", "999999"], NOT_FOUND, "999999"),
    (["site", "member", "999999", "owner@example.org", "viewer"], NOT_FOUND, "999999"),
]


@pytest.mark.parametrize("words,status,says", ENDS, ids=[" ".join(words) or "nothing" for words, _, _ in ENDS])
def test_a_command_ends_with_the_code_that_is_documented(system, words, status, says):
    done = run(system, *[word.format(delivery=system.delivery_id) for word in words])
    assert done.returncode == status, done.stderr
    # What was asked for comes on standard output, everything else on standard error.
    heard, silent = (done.stdout, done.stderr) if status == DONE else (done.stderr, done.stdout)
    assert says in heard
    assert silent == ""


@pytest.mark.parametrize("words,status", [(["why", "999999"], NOT_FOUND), (["why", "abc"], WRONG_USE)])
def test_programs_get_errors_as_json(system, words, status):
    done = run(system, *words, "--json")
    assert done.returncode == status
    answer = json.loads(done.stdout)
    assert answer["success"] is False
    assert answer["error"]["code"] and answer["error"]["message"]


@pytest.mark.parametrize(
    "name,value,says",
    [
        ("ROSTRUM_LISTEN", "somewhere", "allowed is a numeric address and a port"),
        ("ROSTRUM_SLOTS", "0", "allowed is a whole number from 1 to 1024"),
        ("ROSTRUM_SLOTZ", "8", "ROSTRUM_SLOTZ in the environment is not known"),
        ("ROSTRUM_LOG", "loud", "debug"),
        ("DATABASE_URL", "mysql://a:secretword@b/c", "DATABASE_URL"),
        ("OAUTH_ENCRYPTION_KEY", "secretword", "OAUTH_ENCRYPTION_KEY"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_shown(system, name, value, says):
    done = run(system, "doctor", **{name: value})
    assert done.returncode == WRONG_USE
    assert says in done.stderr
    assert "secretword" not in done.stderr + done.stdout


def test_doctor_fails_where_something_is_wrong(system):
    done = run(system, "doctor", DATABASE_URL="postgres://nobody:secretword@127.0.0.1:1/none")
    assert done.returncode == FAILED
    assert re.search(r"^fail  database .*127\.0\.0\.1", done.stdout, re.M)
    assert "secretword" not in done.stdout + done.stderr


def test_the_demo_takes_no_folder_of_somebody_else(system, tmp_path):
    (tmp_path / "letters").write_text("mine")
    done = run(system, "demo", ROSTRUM_HOME=str(tmp_path))
    assert done.returncode == WRONG_USE
    assert "holds something else than a demo" in done.stderr
    assert (tmp_path / "letters").read_text() == "mine"


def test_a_token_can_be_found_and_ended(system):
    made = system.run("token", "create", "--email", "owner@example.org", "--name", "to be lost", "--json")
    client = HTTP(system.port, made["token"])
    assert client.raw("GET", "/api/sites")[0] == 200
    listed = system.run("token", "list", "--json")["tokens"]
    found = next(token for token in listed if token["hint"] == made["token"][-4:])
    assert (found["id"], found["name"], found["state"]) == (made["id"], "to be lost", "valid")
    assert made["token"] not in json.dumps(listed)
    system.run("token", "revoke", str(made["id"]))
    # A running host trusts a token that it has just seen for some seconds.
    eventually(lambda: client.raw("GET", "/api/sites")[0] == 401, 20, "the token is refused")
    assert next(t for t in system.run("token", "list", "--json")["tokens"] if t["id"] == made["id"])["state"] == "revoked"


def test_readme_names_every_command_and_every_setting(system):
    readme = (ROOT / "README.md").read_text()
    commands = {line.split()[0] for line in run(system, "--help").stdout.splitlines() if line.startswith("  ")}
    named = re.search(r"lists the commands: `([^`]*)`", readme.replace("\n", " ")).group(1)
    assert set(named.split()) == commands
    # The refusal of an unknown setting lists the known ones; two are the demo's own.
    text = run(system, "doctor", ROSTRUM_NONE="x").stderr
    known = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text.split("allowed are", 1)[1]))
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", readme, re.M))
    assert known - {"ROSTRUM_DEMO_STARTED_AT", "ROSTRUM_DEMO_ONCE"} <= rows
    # What has a row and another first word is no setting of the host alone.
    assert {row for row in rows if row.startswith("ROSTRUM_")} <= known


def test_an_account_shows_when_it_was_used(system):
    path = f"/api/admin/distribution/connections/{system.connection}?siteId={system.site}"
    eventually(lambda: system.http.get(path)["lastUsedAt"], 30, "the use of the account is stored")


def test_a_look_at_the_clock_does_not_count_as_lateness(system):
    """Work that a host makes up for when it starts is not late, whatever the hour."""
    status, _, data = system.http.raw("GET", "/metrics")
    assert status == 200
    assert data.endswith(b"# EOF\n")
    total = float(re.search(rb"^rostrum_job_lateness_seconds_sum (\S+)$", data, re.M).group(1))
    assert total < 60


def test_an_address_that_is_not_allowed_is_named(system):
    body = {"siteId": system.site, "platform": "webhook", "fields": {"endpoint": "http://169.254.169.254/latest"}}
    status, _, data = system.http.raw("POST", "/api/admin/distribution/connections", body)
    error = json.loads(data)["error"]
    assert (status, error["code"], error["field"]) == (422, "address_not_allowed", "fields.endpoint")
    assert "ROSTRUM_EGRESS_ALLOW" in error["message"]
