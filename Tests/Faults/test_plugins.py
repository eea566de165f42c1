"""Plugins that misbehave, die, and change their version while posts go out.

The short form runs in `make test`; ROSTRUM_LONG=1 (`make soak`) runs the long one.
"""

import http.client
import json
import os
import signal
import statistics
import struct
import threading
import time
import zlib
from pathlib import Path

import pytest
from bundles import EXAMPLE, command, install, row
from rostrum import Host, Refused, Sandbox, eventually

LONG = os.environ.get("ROSTRUM_LONG") == "1"
MEBIBYTE = 1024


@pytest.fixture
def system():
    sandbox = Sandbox("--unlimited")
    # The long forms publish more than the manifest's limit lets one account do in a quarter of an hour.
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off")
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def resident(pid):
    """The memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


# Bad plugins

HEAD = '''#!/usr/bin/env python3
import json, os, signal, sys, time
out = sys.stdout.buffer
def raw(data):
    out.write(data)
    out.flush()
def say(**message):
    raw(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\\n")
def calls():
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") in ("health/check", "drain", "shutdown"):
            say(id=message["id"], result={})
        elif "id" in message and "method" in message:
            yield message
'''
GREETING = '''
for first in calls():
    say(id=first["id"], result={"protocol": "1.0", "plugin": {"id": ID, "version": VERSION}, "methods": METHODS})
    break
'''

# Name, what it does when it is called, words of the reason, and whether it shakes hands.
OFFENDERS = [
    ("exits-at-once", "sys.exit(3)", "exit code 3", False),
    ("exits", "sys.exit(0)", "exit code 0", True),
    ("garbage", "raw(b'{\"jsonrpc\" garbage\\n')", "broke the protocol", True),
    ("gigabyte", "raw(b'{')\nwhile True: raw(b'x' * 65536)", "longer than", True),
    ("half-frame", "raw(b'{\"jsonrpc\":\"2.0\",\"id\":')\nos._exit(1)", "exit code 1", True),
    ("wrong-id", "say(id=call['id'] + 77, result={})\ntime.sleep(5)", "is not open", True),
    ("twice", "say(id=call['id'], result={})\nsay(id=call['id'], result={})\ntime.sleep(5)", "is not open", True),
    ("unsolicited", "for n in range(10000): say(id=10**9 + n, result={})\ntime.sleep(5)", "is not open", True),
    ("stderr-flood", "while True: os.write(2, b'complaint\\n' * 4096)", "standard error", True),
    ("stdout-flood", "while True: raw(b'chatter\\n' * 4096)", "no messages", True),
    ("memory", "hog = []\nwhile True: hog.append(bytearray(b'x' * (1 << 20)))", "memory", True),
    ("forks", "os.fork()\nos._exit(1)", "exit code 1", True),
    ("ignores-term", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nraw(b'{]\\n')\ntime.sleep(60)", "broke", True),
    ("liar", "", "its manifest says", "6.6.6"),
]


def offender(name, deed, greets):
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    manifest |= {"id": f"bad-{name}", "name": f"Bad {name}"}
    claimed = greets if isinstance(greets, str) else manifest["version"]
    facts = f"ID, VERSION, METHODS = {manifest['id']!r}, {claimed!r}, {sorted(manifest['methods'])!r}\n"
    if greets:
        body = "for call in calls():\n" + "".join(f"    {line}\n" for line in (deed or "pass").split("\n"))
        return manifest, HEAD + facts + GREETING + body
    return manifest, HEAD + deed + "\n"


class Sampler(threading.Thread):
    """The highest memory of a process while it runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.stopped = pid, resident(pid), False

    def run(self):
        while not self.stopped:
            self.peak = max(self.peak, resident(self.pid))
            time.sleep(0.01)


def latencies(host, connection, post, count):
    """What a neighbour's calls take: each dispatch asks the plugin of its connection to validate."""
    took = []
    for _ in range(count):
        begin = time.monotonic()
        host.dispatch(post, [connection], at=time.time() + 86_400, allowDuplicate=True)
        took.append(time.monotonic() - begin)
    return took


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def provoke(host, name, seconds):
    """Calls the plugin until it is in quarantine; answers how long that took."""
    body = {"siteId": host.site, "platform": name, "credentials": {"token": "t"}}
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        try:
            host.http.post("/api/admin/distribution/connections", body)
        except Refused as refused:
            assert refused.status in (400, 403, 409, 422, 502, 503), refused
        if row(host, name)["state"] == "quarantined":
            return time.monotonic() - begin
    raise AssertionError(f"{name} is not in quarantine after {seconds} s: {row(host, name)}")


def test_bad_plugins_are_shut_out_and_nobody_else_notices(system, tmp_path):
    sandbox, host = system
    sandbox.accounts(["alice"])
    neighbour = host.connect_x("alice")
    post = host.write("Somebody else's post")
    for name, deed, _, greets in OFFENDERS:
        install(host, tmp_path, *offender(name, deed, greets))
    count = 1_000 if LONG else 60
    latencies(host, neighbour, post, 20)
    quiet = latencies(host, neighbour, post, count)
    before = resident(host.process.pid)
    sampler = Sampler(host.process.pid)
    sampler.start()
    took, disturbed = {}, []
    work = threading.Thread(target=lambda: disturbed.extend(latencies(host, neighbour, post, count)))
    work.start()
    for name, _, words, _ in OFFENDERS:
        took[name] = provoke(host, f"bad-{name}", 60)
        found = row(host, f"bad-{name}")
        assert words in (found["lastExit"] or ""), (name, found)
        print(f"{name}: quarantined after {took[name]:.2f} s: {found['lastExit']}")
    work.join(300)
    sampler.stopped = True
    growth = (sampler.peak - before) / MEBIBYTE
    print(f"host grew by {growth:.1f} MiB; p99 {1000 * p99(quiet):.1f} ms quiet, {1000 * p99(disturbed):.1f} ms disturbed")
    assert growth <= 20
    assert all(value <= (2 if LONG else 10) for value in took.values()), took
    if LONG:
        assert p99(disturbed) <= 2 * p99(quiet) + 0.005
    assert row(host, "x")["restarts"] == 0
    _, _, metrics = host.http.raw("GET", "/metrics")
    assert b'rostrum_plugin_quarantined{plugin="bad-liar",version="1.0.0"} 1\n' in metrics

    def told(name):
        # The event is written after the state has changed.
        return any(event["kind"] == "quarantined" for event in host.http.get(f"/api/plugins/bad-{name}/events"))

    for name in took:
        eventually(lambda: told(name), 10, f"the quarantine of {name} is told")
    assert not [name for _, name in host.descendants() if name.startswith(("adapter.py", "python3"))]


# Orphans


def test_no_plugin_outlives_a_killed_host(system):
    sandbox, host = system
    names = [f"account{n}" for n in range(8)]
    sandbox.accounts(names)
    connections = [host.connect_x(name) for name in names]
    accepted = []
    for round in range(100 if LONG else 4):
        post = host.write(f"Load {round}")
        accepted += host.dispatch(post, connections)["deliveries"]
        eventually(lambda: host.pids("plugin-x"), 60, "the plugin runs", pause=0.01)
        pids = [pid for pid, name in host.descendants() if name.startswith(("plugin-", "rostrum-jail"))]
        host.kill()
        gone = time.monotonic() + 2
        while time.monotonic() < gone and any(alive(pid) for pid in pids):
            time.sleep(0.02)
        assert not [pid for pid in pids if alive(pid)], f"round {round}"
        host.start()
    host.wait_for_ends(120)
    texts = sorted(entry["text"] for entry in sandbox.ledger()["entries"])
    assert len(texts) == len(accepted)
    assert {row["state"] for row in host.deliveries()} == {"sent"}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Upgrades


def test_posts_do_not_notice_upgrades_and_rollbacks(system, tmp_path):
    sandbox, host = system
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    program = (EXAMPLE / "adapter.py").read_text()
    install(host, tmp_path, manifest, program)
    newer = {**manifest, "version": "1.1.0"}
    source = Path(tmp_path) / "newer"
    source.mkdir()
    (source / "manifest.json").write_text(json.dumps(newer))
    (source / "adapter.py").write_text(program.replace('"1.0.0"', '"1.1.0"', 1))
    bundle = Path(tmp_path) / "newer.rostrum-plugin"
    command(host, "pack", source, "--out", bundle)
    command(host, "sign", bundle, "--key", Path(tmp_path) / "publisher.key")

    jobs, changes = (1_000, 10) if LONG else (60, 2)
    names = [f"writer{n}" for n in range(20)]
    sandbox.http.post(
        "/_sandbox/accounts",
        {"accounts": [{"platform": "microblog", "username": n, "token": f"token-of-{n}"} for n in names]},
    )
    connections = [
        host.http.post(
            "/api/admin/distribution/connections",
            {"siteId": host.site, "platform": manifest["id"], "credentials": {"token": f"token-of-{name}"}},
        )["id"]
        for name in names
    ]
    accepted, done = [], threading.Event()

    def write():
        for number in range(jobs):
            post = host.write(f"Post {number} of the upgrade test")
            accepted.extend(host.dispatch(post, [connections[number % len(connections)]])["deliveries"])
        done.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    for _ in range(changes):
        for arguments, version in ((["upgrade", bundle, "--yes"], "1.1.0"), (["rollback", manifest["id"]], "1.0.0")):
            command(host, *arguments)
            eventually(lambda: row(host, manifest["id"])["version"] == version, 60, f"{version} is in use")
    writer.join(600)
    assert done.is_set()
    host.wait_for_ends(120)
    rows = host.deliveries()
    assert len(rows) == len(accepted) == jobs
    others = [each["id"] for each in rows if each["state"] != "sent"]
    assert not others, [host.explain(number) for number in others[:3]]
    assert {each["attempts"] for each in rows} == {1}
    texts = [entry["text"] for entry in sandbox.ledger("microblog")["entries"]]
    assert len(texts) == len(set(texts)) == jobs
    assert row(host, manifest["id"])["state"] != "quarantined"
    events = [event["kind"] for event in host.http.get(f"/api/plugins/{manifest['id']}/events?limit=100")]
    assert "crashed" not in events, events


# Kills of the plugin


def png(number):
    """A picture that no other test has."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + struct.pack(">I", number)[1:] * 8 for _ in range(8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Frames(threading.Thread):
    """Follows the frames of a plugin and calls `act` at one of them: a call, a request of the plugin, or an answer."""

    def __init__(self, host, name, act):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
        self.connection.request(
            "GET", f"/api/plugins/{name}/frames", headers={"Authorization": f"Bearer {host.http.token}"}
        )
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.act, self.seen = act, []
        # The plugin has given its own answer, so whatever came before it was seen.
        self.answered = threading.Event()

    def run(self):
        try:
            for line in self.answer:
                if not line.startswith(b"data:"):
                    continue
                frame = json.loads(line[5:])
                method, incoming = frame["method"], frame["toPlugin"]
                if method == "post/publish" if incoming else (method or "").startswith("host/"):
                    self.note(method)
                elif incoming and method is None and self.seen:
                    self.note("answer")
                elif not incoming and method is None and self.seen:
                    self.answered.set()
        except (OSError, ValueError, AttributeError):
            # The test closed the connection.
            return

    def note(self, what):
        self.seen.append(what)
        self.act(len(self.seen))

    def close(self):
        self.connection.sock and self.connection.sock.close()


def test_a_plugin_killed_at_any_host_call_repeats_nothing(system):
    sandbox, host = system
    sandbox.accounts(["alice"])
    connection = host.connect_x("alice")

    def publish(number, act):
        status, _, answer = host.http.raw(
            "POST", f"/api/media?siteId={host.site}", png(number), {"Content-Type": "image/png"}
        )
        assert status == 201, answer
        post = host.write(f"Kill {number}", media=[{"mediaId": json.loads(answer)["data"]["id"]}])
        frames = Frames(host, "x", act)
        frames.start()
        # Each request takes its time, so that a kill after a frame falls into what follows it.
        sandbox.faults({"match": {"account": "alice"}, "action": {"kind": "delay", "ms": 150}, "count": 20})
        uploads = count_uploads(sandbox)
        delivery = host.dispatch(post, [connection])["deliveries"][0]["id"]
        found = host.ended(delivery, 90)
        # The frames may come later than the end. A plugin that was killed at the last of them need not answer again.
        frames.answered.wait(5)
        frames.close()
        assert found["state"] == "sent", host.explain(delivery)
        texts = [entry["text"] for entry in sandbox.ledger()["entries"] if entry["text"].startswith(f"Kill {number}")]
        assert len(texts) == 1, texts
        assert count_uploads(sandbox) - uploads == whole, (number, frames.seen)
        return frames.seen

    whole = 0
    before = count_uploads(sandbox)
    try:
        publish(0, lambda _: None)
    except AssertionError as error:
        # The first run only counts what an upload takes.
        whole = count_uploads(sandbox) - before
        assert whole > 0, error
    points = len(publish(1, lambda _: None))
    assert points >= 5
    for point in range(1, points + 1):
        struck = threading.Event()

        def strike(number):
            if number == point and not struck.is_set():
                struck.set()
                for pid in host.pids("plugin-x"):
                    os.kill(pid, signal.SIGKILL)

        publish(point + 1, strike)
        assert struck.is_set()
    assert row(host, "x")["state"] != "quarantined"


def count_uploads(sandbox):
    return sum("/2/media/upload" in json.dumps(request) for request in sandbox.requests())
