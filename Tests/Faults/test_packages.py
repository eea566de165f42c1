"""Plugins of strangers: installed, approved, upgraded, taken back and damaged, while hosts run and while they die."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bundles import EXAMPLE, command
from rostrum import ROOT, Host, Refused, Sandbox, binaries, eventually

ORIGIN = "https://api.microblog.example"


@pytest.fixture
def sandbox():
    sandbox = Sandbox("--unlimited")
    yield sandbox
    sandbox.close()


@pytest.fixture
def host(sandbox):
    host = make_host(sandbox)
    yield host
    host.close()


def make_host(sandbox, **settings):
    return Host(sandbox, ROSTRUM_LOG="debug", **settings).bootstrap()


def source(folder, version, **changes):
    """The example adapter as another version of itself, which says in each note which version wrote it."""
    target = Path(folder) / f"source-{version}"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("__pycache__"))
    program = (target / "adapter.py").read_text()
    program = program.replace('"1.0.0"', f'"{version}"', 1)
    program = program.replace('json={"text": post.get("text") or ""', f'json={{"text": (post.get("text") or "") + " {version}"')
    assert f" {version}" in program
    (target / "adapter.py").write_text(program)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["version"] = version
    for name, value in changes.items():
        manifest[name] = {**manifest[name], **value} if isinstance(value, dict) else value
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def bundle(host, folder, version, key="publisher.key", **changes):
    path = Path(folder) / f"{version}-{key}.rostrum-plugin"
    command(host, "pack", source(folder, version, **changes), "--out", path)
    command(host, "sign", path, "--key", Path(folder) / key, "--new-key")
    return path


def versions(host):
    return {row["id"]: row["version"] for row in command(host, "list")["plugins"]}


def connect(host, name):
    host.sandbox.http.post(
        "/_sandbox/accounts",
        {"accounts": [{"platform": "microblog", "username": name, "token": f"token-of-{name}"}]},
    )
    body = {"siteId": host.site, "platform": "example-python", "credentials": {"token": f"token-of-{name}"}}
    return eventually(lambda: accepted(host, "/api/admin/distribution/connections", body), 20, "connected")["id"]


def accepted(host, path, body):
    """The answer, or nothing while the host does not know the plugin yet."""
    try:
        return host.http.post(path, body)
    except Refused as refused:
        if refused.status in (404, 422, 503):
            return None
        raise


def publish(host, connection, text):
    """Publishes and answers with what stands on the platform."""
    number = host.dispatch(host.write(text), [connection])["deliveries"][0]["id"]
    row = host.ended(number)
    assert row["state"] == "sent", row
    notes = [note["text"] for note in host.sandbox.ledger("microblog")["entries"] if note["text"].startswith(text)]
    assert len(notes) == 1, notes
    return notes[0]


def running_version(host):
    rows = host.http.get("/api/plugins")
    return next((row["version"] for row in rows if row["id"] == "example-python"), None)


def test_a_strangers_plugin_lives_through_approval_upgrade_and_rollback(host, tmp_path):
    host.start()
    first = bundle(host, tmp_path, "1.0.0")
    waiting = command(host, "install", first, code=4)
    assert waiting["outcome"] == "waiting"
    assert any(ORIGIN in words for words in waiting["asks"])
    assert any("/usr/bin/python3" in words for words in waiting["asks"])
    assert "example-python" not in versions(host)
    detail = host.http.get("/api/plugins/example-python")
    assert detail["waiting"]["digest"] == waiting["plugin"]["digest"] and detail["current"] is None
    with pytest.raises(Refused) as refused:
        host.http.post("/api/plugins/example-python/approve", {"digest": "sha256:" + "0" * 64})
    assert refused.value.status == 409
    host.http.post("/api/plugins/example-python/approve", {"digest": waiting["plugin"]["digest"]})

    # The running host takes it without a restart.
    connection = connect(host, "alice")
    assert publish(host, connection, "one") == "one 1.0.0"

    # A version that asks for no more runs at once, here uploaded.
    second = bundle(host, tmp_path, "1.1.0").read_bytes()
    status, _, answer = host.http.raw(
        "POST", "/api/plugins", second, {"Content-Type": "application/octet-stream"}
    )
    assert status == 200 and json.loads(answer)["data"]["outcome"] == "installed", answer
    eventually(lambda: running_version(host) == "1.1.0", 30, "the new version runs")
    assert publish(host, connection, "two") == "two 1.1.0"

    # One that asks for more waits and says what is new.
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    third = bundle(
        host, tmp_path, "1.2.0",
        egress=manifest["egress"] + [{**manifest["egress"][0], "rule": "spy", "origin": "https://spy.example.org"}],
        limits={"memoryMiB": 200},
    )
    asked = command(host, "upgrade", third, code=4)["asks"]
    assert any("https://spy.example.org" in words for words in asked)
    assert any("200 MiB" in words for words in asked)
    assert not any("/microblog/v1/notes" in words for words in asked)
    assert versions(host)["example-python"] == "1.1.0"
    command(host, "refuse", "example-python")

    # Another key waits even for less.
    other = command(host, "upgrade", bundle(host, tmp_path, "1.3.0", key="other.key"), code=4)
    assert other["formerPublisher"] and other["asks"] == []
    command(host, "refuse", "example-python")

    # Back, without files and without network.
    back = command(host, "rollback", "example-python", "--reason", "a test")
    assert back["version"] == "1.0.0"
    eventually(lambda: running_version(host) == "1.0.0", 30, "the old version runs")
    assert publish(host, connection, "three") == "three 1.0.0"

    events = [row["kind"] for row in host.http.get("/api/plugins/example-python/events")]
    assert [kind for kind in events if kind in ("waiting", "installed", "upgraded", "refused", "rolledBack")] == [
        "rolledBack", "refused", "waiting", "refused", "waiting", "upgraded", "installed", "waiting",
    ]
    assert "api.microblog.example:443" in host.http.get("/api/plugins/-/egress")["hosts"]
    lock = host.http.get("/api/plugins/-/lock")["plugins"]["example-python"]
    assert lock["version"] == "1.0.0" and lock["approvedBy"]
    command(host, "remove", "example-python")
    eventually(lambda: running_version(host) is None, 30, "the plugin is gone")
    assert command(host, "why", "example-python")["current"] is None


def test_bundles_that_must_not_be_installed(host, tmp_path):
    host.start()
    good = bundle(host, tmp_path, "1.0.0").read_bytes()
    for spoiled in (good[:-700], good[:3000] + b"x" + good[3001:], b"", b"\0" * 1024, b"PK\x03\x04" + good):
        status, _, answer = host.http.raw(
            "POST", "/api/plugins?approve=true", spoiled, {"Content-Type": "application/octet-stream"}
        )
        assert status == 422, (status, answer)
        assert json.loads(answer)["error"]["code"].startswith("bundle_")
    # The host's own network is out of reach for downloads.
    for address in ("http://127.0.0.1:1/a", "https://169.254.169.254/a", "https://localhost/a", "ftp://a.example/b"):
        with pytest.raises(Refused) as refused:
            host.http.post("/api/plugins/-/download", {"url": address})
        assert refused.value.status in (400, 422)
    assert "example-python" not in versions(host)
    assert "example-python" not in [row["id"] for row in host.http.get("/api/plugins")]


def test_a_bundle_is_downloaded(host, sandbox, tmp_path):
    import http.server
    import threading

    data = bundle(host, tmp_path, "1.0.0").read_bytes()

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://10.0.0.1/bundle")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        refused = command(host, "install", f"{base}/bundle", "--yes", code=1)
        assert "operator lists it" in refused["error"]["message"]
        host.environment["ROSTRUM_EGRESS_ALLOW"] += f",127.0.0.1:{server.server_port}"
        assert command(host, "install", f"{base}/away", "--yes", code=1)["error"]
        assert command(host, "install", f"{base}/bundle", "--yes")["outcome"] == "installed"
        assert versions(host)["example-python"] == "1.0.0"
    finally:
        server.shutdown()


def test_a_file_changed_on_disk_is_refused_and_repaired(host, tmp_path):
    command(host, "install", bundle(host, tmp_path, "1.0.0"), "--yes")
    host.start()
    connection = connect(host, "alice")
    assert publish(host, connection, "one") == "one 1.0.0"
    digest = next(row["digest"] for row in command(host, "list")["plugins"] if row["id"] == "example-python")
    program = host.home / "data" / "plugins" / "store" / digest.replace(":", "-") / "adapter.py"
    before = program.read_bytes()
    host.stop()
    os.chmod(program, 0o644)
    program.write_bytes(before + b"\nprint('another plugin')\n")
    os.chmod(program, 0o555)
    host.start()
    number = host.dispatch(host.write("two"), [connection])["deliveries"][0]["id"]
    log = host.home / "host.log"
    eventually(lambda: f"{program}" in log.read_text() and "found sha256:" in log.read_text(), 30, "the refusal is logged")
    assert host.delivery(number)["state"] in ("pending", "queued", "sending", "retrying", "failed")
    assert not [note for note in host.sandbox.ledger("microblog")["entries"] if note["text"].startswith("two")]
    found = command(host, "verify", code=1)
    damaged = [row for row in found["plugins"] if row["state"] == "damaged"]
    assert [row["id"] for row in damaged] == ["example-python"]
    assert str(program) in damaged[0]["problems"][0] and "expected sha256:" in damaged[0]["problems"][0]
    command(host, "verify", "example-python", "--repair")
    assert program.read_bytes() == before
    assert command(host, "verify")["whole"]


@pytest.mark.parametrize("change", ["install", "upgrade"])
def test_everything_is_killed_at_any_moment_of_a_change(host, tmp_path, change):
    """Kills the host, its database and the command together, at moments that sweep over the whole change."""
    old, new = bundle(host, tmp_path, "1.0.0"), bundle(host, tmp_path, "1.1.0")
    if change == "upgrade":
        command(host, "install", old, "--yes")
    host.start()
    target, reset = (old, "remove") if change == "install" else (new, "rollback")
    begin = time.monotonic()
    command(host, "install", target, "--yes")
    whole = time.monotonic() - begin
    command(host, reset, "example-python")
    for moment in range(12):
        started = subprocess.Popen(
            [str(binaries() / "rostrum"), "plugin", "install", str(target), "--yes"],
            env=host.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(whole * (moment + 1) / 10)
        postmaster = host.postmaster()
        for pid in [started.pid, host.process.pid] + ([postmaster] if postmaster else []):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        started.wait(10)
        host.process.wait(10)
        host.start()
        found = versions(host)
        before, after = (None, "1.0.0") if change == "install" else ("1.0.0", "1.1.0")
        assert found.get("example-python") in (before, after), found
        assert set(found) - {"example-python"} == {"x", "webhook"}
        assert command(host, "verify")["whole"]
        assert running_version(host) == found.get("example-python")
        if found.get("example-python") == after:
            # Back to the state before, for another moment.
            command(host, reset, "example-python")
    command(host, "install", target, "--yes")
    connection = connect(host, "alice")
    assert publish(host, connection, "after all").startswith("after all 1.")


def test_two_hosts_follow_one_database(host, sandbox, tmp_path):
    host.start()
    record = host.home / "data" / "postgres.place"
    place = Path(record.read_text().split("\n")[0]) if record.exists() else host.home / "data" / "postgres"
    second = Host(
        sandbox,
        DATABASE_URL=f"postgresql://rostrum@/rostrum?host={place / 'run'}",
        ROSTRUM_MEDIA=host.home / "data" / "media",
    )
    try:
        (second.home / "data").mkdir(mode=0o700)
        shutil.copy(host.home / "data" / "vault.key", second.home / "data" / "vault.key")
        second.http.token, second.site = host.http.token, host.site
        second.start()
        # The same build under another key: nothing is installed anew.
        generation = command(host, "list")["generation"]
        assert command(second, "list")["generation"] == generation
        command(second, "install", bundle(host, tmp_path, "1.0.0"), "--yes")
        for each in (host, second):
            eventually(lambda: running_version(each) == "1.0.0", 30, "both hosts run the plugin")
        command(host, "upgrade", bundle(host, tmp_path, "1.1.0"), "--yes")
        for each in (host, second):
            eventually(lambda: running_version(each) == "1.1.0", 30, "both hosts run the new version")
            digest = command(each, "list")["plugins"][0]["digest"]
            assert (each.home / "data" / "plugins" / "store" / digest.replace(":", "-") / "manifest.json").exists()
        connection = connect(second, "alice")
        assert publish(second, connection, "from the second") == "from the second 1.1.0"
        command(second, "rollback", "example-python")
        for each in (host, second):
            eventually(lambda: running_version(each) == "1.0.0", 30, "both hosts went back")
    finally:
        second.close()


def test_the_hosts_own_plugins_follow_their_folder_and_people(sandbox, tmp_path):
    manifests = tmp_path / "plugin-manifests"
    shutil.copytree(ROOT / "plugin-manifests", manifests)
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    host = Host(sandbox, ROSTRUM_MANIFESTS=manifests)

    def restart():
        host.stop()
        host.start()
        return command(host, "list")["generation"]

    def edit(name, **changes):
        path = manifests / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    try:
        first = restart()
        key = host.home / "data" / "plugins.key"
        assert key.stat().st_mode & 0o777 == 0o600
        assert restart() == first, "the same content was installed again"
        # Other content under the same version replaces what the host installed before.
        edit("x", description="Another description.")
        second = restart()
        assert second == first + 1 and versions(host)["x"] == "1.0.0"
        # What a person did lasts.
        command(host, "rollback", "x")
        command(host, "remove", "webhook")
        third = second + 2
        assert restart() == third
        assert "webhook" not in versions(host)
        edit("webhook", description="Another description.")
        assert restart() == third and "webhook" not in versions(host)
        # Older than what runs: not used. Newer: used.
        edit("x", version="0.9.0")
        assert restart() == third and versions(host)["x"] == "1.0.0"
        edit("x", version="1.1.0")
        assert restart() == third + 1 and versions(host)["x"] == "1.1.0"
        # A folder that a person installs comes back under the host's key.
        assert command(host, "install", manifests / "webhook.json", "--yes")["outcome"] == "installed"
        assert command(host, "verify")["whole"]
    finally:
        host.close()


def test_a_version_that_does_not_come_up_is_taken_back_everywhere(host, tmp_path):
    command(host, "install", bundle(host, tmp_path, "1.0.0"), "--yes")
    host.start()
    connection = connect(host, "alice")
    folder = source(tmp_path, "1.1.0")
    program = folder / "adapter.py"
    program.write_text("import sys\nsys.exit(3)\n" + program.read_text())
    broken = tmp_path / "broken.rostrum-plugin"
    command(host, "pack", folder, "--out", broken, "--key", tmp_path / "publisher.key")
    assert command(host, "upgrade", broken)["outcome"] == "installed"
    eventually(lambda: versions(host)["example-python"] == "1.0.0", 60, "the old version is the current one again")
    events = host.http.get("/api/plugins/example-python/events")
    kinds = [row["kind"] for row in events]
    assert "rolledBack" in kinds and ("selfTestFailed" in kinds or "failed" in kinds), kinds
    assert running_version(host) == "1.0.0"
    assert publish(host, connection, "still there") == "still there 1.0.0"


def test_a_bad_version_is_taken_back_by_the_next_host_too(host, tmp_path):
    """It passes its self-test and dies of posts; the host is killed before the first one."""
    command(host, "install", bundle(host, tmp_path, "1.0.0"), "--yes")
    host.start()
    connection = connect(host, "alice")
    folder = source(tmp_path, "1.1.0")
    program = folder / "adapter.py"
    text = program.read_text()
    patched = text.replace("import json\n", "import json\nimport os\n", 1) if "import os" not in text else text
    patched = patched.replace("def publish(", "def publish(*_):\n    os._exit(9)\n\n\ndef unused(", 1)
    assert "def unused(" in patched
    program.write_text(patched)
    broken = tmp_path / "broken.rostrum-plugin"
    command(host, "pack", folder, "--out", broken, "--key", tmp_path / "publisher.key")
    assert command(host, "upgrade", broken)["outcome"] == "installed"
    eventually(lambda: running_version(host) == "1.1.0", 60, "the new version has passed its test")
    host.kill()
    host.start()
    assert running_version(host) == "1.1.0"
    assert publish(host, connection, "after the restart") == "after the restart 1.0.0"
    eventually(lambda: versions(host)["example-python"] == "1.0.0", 60, "the old version is the current one again")
    kinds = [row["kind"] for row in host.http.get("/api/plugins/example-python/events")]
    assert "rolledBack" in kinds and "failed" in kinds and "selfTestFailed" not in kinds, kinds
