"""Secrets stay in the host: a canary token is looked for everywhere a plugin, a file or a reader could find it.

The platform behind the host is a mirror: it passes requests on to the sandbox and writes what it was sent, the token
in every disguise, into each answer. What the plugin gets to see of that, and what is kept of it, must hold none of it.
"""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rostrum import Host, Refused, Sandbox, eventually

# Together only while the test runs, so that no file of the repository or its build holds it.
CANARY = "canary-" + "7f3a" + "/Qz+91=" + "deadbeefcafe"


def disguises(secret):
    """The forms in which a careless server or program may hold a secret."""
    raw = secret.encode()
    forms = {raw, urllib.parse.quote(secret, safe="").encode(), raw.hex().encode(), raw.hex().upper().encode()}
    forms |= {json.dumps(secret)[1:-1].encode(), secret.replace("/", "\\/").encode()}
    for pad in range(3):
        whole = base64.b64encode(b"\0" * pad + raw)
        # Without the characters that depend on the neighbours.
        core = whole[0 if pad == 0 else pad + 1 :].rstrip(b"=")
        core = core[:-1] if (len(raw) + pad) % 3 else core
        forms |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return sorted(forms)


class Mirror:
    """Stands between host and sandbox and reflects the credentials of each request."""

    def __init__(self, sandbox):
        mirror = self
        self.reflected = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                upstream = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding")}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
                token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
                if token:
                    mirror.reflected += 1
                    content = mirror.reflect(content, token)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("x-rate-limit-limit", f"100 {token}")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    @staticmethod
    def reflect(content, token):
        try:
            document = json.loads(content)
        except ValueError:
            return content + token.encode()
        if isinstance(document, dict):
            document["debug"] = [form.decode() for form in disguises(token)]
            document["detail"] = f"{document.get('detail', '')} {token}"
        return json.dumps(document).encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Behind:
    """The sandbox as the host sees it: through the mirror."""

    def __init__(self, sandbox, mirror):
        self.port, self.url = mirror.port, mirror.url
        self.sandbox = sandbox


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    mirror = Mirror(sandbox)
    host = Host(Behind(sandbox, mirror))
    try:
        host.bootstrap().start()
        accounts = [{"platform": "x", "username": "canary", "token": CANARY}]
        sandbox.http.post("/_sandbox/accounts", {"accounts": accounts})
        body = {"siteId": host.site, "platform": "x", "credentials": {"token": CANARY}}
        connection = host.http.post("/api/admin/distribution/connections", body)
        yield sandbox, mirror, host, connection
    finally:
        host.close()
        mirror.close()
        sandbox.close()


def send(host, connection, title):
    return host.dispatch(host.write(title), [connection["id"]])["deliveries"][0]["id"]


def find(content, where):
    for form in disguises(CANARY):
        assert form not in content, f"{where} holds the canary as {form[:12]!r}…"


@pytest.fixture(scope="module")
def used(system):
    """The canary was used for everything: a good post, a refused one, a lost answer, a failed check."""
    sandbox, mirror, host, connection = system
    deliveries, states = [], []

    def publish(title):
        deliveries.append(send(host, connection, title))
        states.append(host.ended(deliveries[-1], 120)["state"])

    publish("A post with a canary behind it")
    match = {"account": "canary", "method": "POST", "path": "/2/tweets"}
    sandbox.faults({"match": match, "action": {"kind": "status", "code": 400, "when": "beforeCommit"}})
    publish("A post that is refused")
    sandbox.faults({"match": match, "action": "resetAfterCommit"})
    publish("A post whose answer is lost")
    sandbox.faults({"match": {"account": "canary", "method": "GET"}, "action": {"kind": "status", "code": 503}})
    with pytest.raises(Refused):
        host.http.post(f"/api/admin/distribution/connections/{connection['id']}/test", {"siteId": host.site})
    assert states[0] == "sent"
    assert states[1] == "failed"
    assert mirror.reflected > 5
    return deliveries


def plugin_pids(host):
    return [pid for pid, name in host.descendants() if name.startswith("plugin-")]


def memory(pid):
    """Everything a process could read of itself."""
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            if "r" not in rights or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            first, last = (int(part, 16) for part in place.split("-"))
            try:
                mem.seek(first)
                pieces.append(mem.read(last - first))
            except (OSError, OverflowError, ValueError):
                continue
    return b"".join(pieces)


def test_answers_of_the_api_hold_no_canary(system, used):
    _, _, host, connection = system
    find(json.dumps(connection).encode(), "the connection")
    for delivery in used:
        find(json.dumps(host.explain(delivery)).encode(), "the story of a delivery")
    for path in ("/metrics", f"/api/admin/distribution/connections?siteId={host.site}", "/openapi.json"):
        find(host.http.raw("GET", path)[2], path)


def test_the_mirror_was_noticed(system, used):
    _, _, host, _ = system
    log = (host.home / "host.log").read_text(errors="replace")
    assert "held a secret, which was taken out" in log


def test_the_plugin_never_held_the_canary(system, used):
    _, _, host, _ = system
    pids = plugin_pids(host)
    assert pids, "the plugin still runs"
    for pid in pids:
        for name in ("environ", "cmdline", "maps", "status", "limits"):
            find(Path(f"/proc/{pid}/{name}").read_bytes(), f"/proc/{pid}/{name}")
        core = re.search(r"Max core file size\s+(\S+)\s+(\S+)", Path(f"/proc/{pid}/limits").read_text())
        # 1 also keeps a program that takes core files over a pipe from getting one.
        assert set(core.groups()) <= {"0", "1"}
        content = memory(pid)
        assert len(content) > 1 << 20
        assert b"createPost" in content, "the memory that was read is the plugin's"
        find(content, f"the memory of plugin {pid}")
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            find(os.readlink(descriptor).encode(), "a descriptor")


def test_a_dying_plugin_leaves_no_core(system, used):
    _, _, host, connection = system
    before = plugin_pids(host)
    for pid in before:
        os.kill(pid, signal.SIGSEGV)
    eventually(lambda: not set(before) & set(plugin_pids(host)), 20, "the plugins are gone")
    assert host.ended(send(host, connection, "A post after the crash"), 60)["state"] == "sent"
    places = [host.home, Path("/proc/self/cwd"), Path("/tmp")]
    cores = [path for place in places for path in place.glob("core*") if path.is_file()]
    for path in cores:
        find(path.read_bytes(), str(path))


def test_the_host_shows_no_canary_to_other_processes(system, used):
    _, _, host, _ = system
    for pid in [host.process.pid] + [pid for pid, _ in host.descendants()]:
        for name in ("environ", "cmdline"):
            try:
                find(Path(f"/proc/{pid}/{name}").read_bytes(), f"/proc/{pid}/{name}")
            except (FileNotFoundError, ProcessLookupError):
                continue


def test_the_database_holds_it_sealed_only(system, used):
    _, _, host, _ = system
    place = Path((host.home / "data" / "postgres.place").read_text().split("\n")[0])
    address = f"postgresql://rostrum@/rostrum?host={place / 'run'}"
    dump = subprocess.run(["pg_dump", "--inserts", address], stdout=subprocess.PIPE, check=True).stdout
    assert b"delivery_effects" in dump and b"delivery_captures" in dump
    assert b"[redacted]" in dump, "the journal keeps what the plugin was told"
    find(dump, "the dump of the database")


def test_no_file_holds_it(system, used):
    """Home, log, spool and the files of the database itself, write-ahead log included."""
    _, _, host, _ = system
    time.sleep(0.5)
    roots = [host.home]
    record = host.home / "data" / "postgres.place"
    if record.exists():
        roots.append(Path(record.read_text().split("\n")[0]))
    count = 0
    for root in roots:
        for path in root.rglob("*"):
            try:
                if not path.is_file() or path.is_symlink():
                    continue
                content = path.read_bytes()
            except OSError:
                continue
            count += 1
            find(content, str(path))
    assert count > 100
