"""The adapters of SDK/Examples on a real host, in its jail: a picture is uploaded, the note follows, faults are survived."""

import json
import shutil
import struct
import subprocess
import zlib

import pytest
from rostrum import ROOT, Host, Sandbox, binaries, eventually

EXAMPLES = ROOT / "SDK" / "Examples"


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox("--unlimited", "--microblog-account", "alice:token-of-alice")
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def host(sandbox):
    host = Host(sandbox).bootstrap()
    host.start()
    yield host
    host.close()


def picture(shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes([0, shade]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def upload(host, shade):
    path = f"/api/media?siteId={host.site}&alt=A+dot"
    status, _, data = host.http.raw("POST", path, picture(shade), {"Content-Type": "image/png"})
    assert status in (200, 201), data
    return json.loads(data)["data"]["id"]


def install(host, folder):
    done = subprocess.run(
        [str(binaries() / "rostrum"), "plugin", "install", str(folder), "--yes", "--json"],
        env=host.environment, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def connect(host, plugin):
    def ask():
        return [row for row in host.http.get("/api/plugins") if row["id"] == plugin]

    eventually(ask, 30, f"{plugin} is known to the running host")
    body = {"siteId": host.site, "platform": plugin, "credentials": {"token": "token-of-alice"}}
    return host.http.post("/api/admin/distribution/connections", body)["id"]


@pytest.mark.parametrize("language", ["python", "c"])
def test_an_example_publishes_through_a_running_host(host, sandbox, tmp_path, language):
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder)
    if language == "c":
        subprocess.run(["make", "-s", "-C", folder], check=True, timeout=120)
    install(host, folder / "bundle")
    account = connect(host, f"example-{language}")
    text = f"Two dots in {language}"
    media = [{"mediaId": upload(host, shade)} for shade in ({"python": 1, "c": 3}[language], 200 + len(language))]
    post = host.write("Dots", excerpt=text, media=media)
    # The answer to the note is lost: the adapter looks for it, and finds it.
    sandbox.faults({"match": {"platform": "microblog", "method": "POST", "path": "/microblog/v1/notes"}, "action": "resetAfterCommit"})
    number = host.dispatch(post, [account])["deliveries"][0]["id"]
    row = host.ended(number)
    assert row["state"] == "sent", host.explain(number)
    notes = [note for note in sandbox.ledger("microblog")["entries"] if note["text"] == text]
    assert [note["media"] for note in notes] == [2]
    uploads = [r for r in sandbox.requests()["requests"] if r["path"] == "/microblog/v1/pictures" and r["status"] == 201]
    assert len(uploads) % 2 == 0
