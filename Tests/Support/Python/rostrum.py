"""Drives real programs: the host, its plugins, its private PostgreSQL, and the sandbox."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def binaries():
    """The folder of the built programs: ROSTRUM_BIN, else the newest build of this checkout."""
    if "ROSTRUM_BIN" in os.environ:
        return Path(os.environ["ROSTRUM_BIN"])
    builds = [ROOT / ".build" / kind for kind in ("release", "debug")]
    found = [b for b in builds if (b / "rostrum").exists() and (b / "rostrum-sandbox").exists()]
    if not found:
        raise RuntimeError("rostrum is not built; run `make build`")
    return max(found, key=lambda b: (b / "rostrum").stat().st_mtime)


def eventually(check, seconds, what, pause=0.1):
    """Waits until `check` returns something true; a bound against hanging, not a claim about time."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


def lives(pid):
    """Whether the process runs; one that has ended and was not noticed by its parent yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


class Refused(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status, body):
        self.status = status
        self.body = body
        self.error = (body or {}).get("error", {}) if isinstance(body, dict) else {}
        super().__init__(f"{status} {self.error.get('code')}: {self.error.get('message')}")


class HTTP:
    """One client, one connection a thread."""

    def __init__(self, port, token=None):
        self.port = port
        self.token = token
        self.local = threading.local()

    def raw(self, method, path, body=None, headers=None, timeout=60):
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        for fresh in (False, True):
            connection = None if fresh else getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            self.local.connection = None
            try:
                connection.request(method, path, body=body, headers=headers)
                answer = connection.getresponse()
                data = answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection that the server closed; a request that makes something carries a key.
                connection.close()
                if fresh:
                    raise
                continue
            except Exception:
                connection.close()
                raise
            self.local.connection = connection
            return answer.status, dict(answer.getheaders()), data
        raise AssertionError("unreachable")

    def call(self, method, path, body=None, headers=None):
        status, _, data = self.raw(method, path, body, headers)
        parsed = json.loads(data) if data else None
        if status >= 300:
            raise Refused(status, parsed)
        return parsed["data"] if isinstance(parsed, dict) and "data" in parsed else parsed

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, headers=None):
        return self.call("POST", path, body, headers)


class Sandbox:
    """The simulated platforms."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [str(binaries() / "rostrum-sandbox"), "--port", "0", "--exit-with-stdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        line = self.process.stdout.readline()
        self.url = json.loads(line)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.http = HTTP(self.port)

    def accounts(self, names):
        body = {"accounts": [{"platform": "x", "username": n, "token": f"token-of-{n}"} for n in names]}
        return self.http.post("/_sandbox/accounts", body)

    def account(self, platform, username, **values):
        return self.http.post("/_sandbox/accounts", {"platform": platform, "username": username, **values})

    def hook(self, name, secret):
        return self.http.post("/_sandbox/hooks", {"name": name, "secret": secret})

    def faults(self, *orders):
        return self.http.post("/_sandbox/faults", list(orders))

    def settings(self, **values):
        return self.http.post("/_sandbox/settings", values)

    def origins(self, at=None):
        """Each real origin with its place in the sandbox, or in a proxy at `at` before it."""
        places = self.http.get("/_sandbox/origins")["origins"]
        return {origin: place.replace(self.url, at or self.url, 1) for origin, place in places.items()}

    def overrides(self, at=None):
        """The value of ROSTRUM_ORIGIN_OVERRIDES that leads every platform here."""
        return ",".join(f"{origin}={place}" for origin, place in self.origins(at).items())

    def app(self, platform, *addresses, **values):
        """Registers the demo app of a platform, or another one, with the addresses that people come back to."""
        order = {"platform": platform, "redirectAddresses": list(addresses), **values}
        return self.http.post("/_sandbox/apps", order)

    def oauth(self, platform):
        """What the OAuth server of a platform did."""
        return self.http.get(f"/_sandbox/ledger?platform={platform}")["oauth"][platform]

    def ledger(self, platform="x"):
        return self.http.get("/_sandbox/ledger")[platform]

    def requests(self):
        return self.http.get("/_sandbox/requests")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Host:
    """A host in a home of its own, with its private database."""

    def __init__(self, sandbox, home=None, **settings):
        self.sandbox = sandbox
        self.home = Path(home or tempfile.mkdtemp(prefix="rostrum-test-"))
        self.own_home = home is None
        self.log = open(self.home / "host.log", "ab")
        self.process = None
        # Variables of `rostrum serve` alone.
        self.served_with = {}
        self.port = self.free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "ROSTRUM_HOME": str(self.home / "data"),
            "ROSTRUM_LISTEN": f"127.0.0.1:{self.port}",
            "ROSTRUM_EGRESS_ALLOW": f"127.0.0.1:{sandbox.port}",
            # A test may put a proxy before its sandbox.
            "ROSTRUM_ORIGIN_OVERRIDES": getattr(sandbox, "sandbox", sandbox).overrides(sandbox.url),
            **{key: str(value) for key, value in settings.items()},
        }
        self.http = HTTP(self.port)
        self.site = None

    @staticmethod
    def free_port():
        """A port for the whole life of a host, restarts included.

        It lies below the range that the system takes for connections, so that nobody gets it between now and the
        start, nor between two starts.
        """
        while True:
            port = random.randrange(15_000, 30_000)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port

    def run(self, *arguments):
        done = subprocess.run(
            [str(binaries() / "rostrum"), *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        if done.returncode != 0:
            raise AssertionError(f"rostrum {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()}")
        return json.loads(done.stdout) if "--json" in arguments else done.stdout.decode()

    def bootstrap(self):
        """Makes a user, a site and a token with the command line."""
        self.run("user", "create", "--email", "owner@example.org", "--name", "Owner", "--operator", "--json")
        site = self.run("site", "create", "--name", "Test", "--owner", "owner@example.org", "--json")
        self.site = site["id"]
        token = self.run("token", "create", "--email", "owner@example.org", "--name", "tests", "--json")
        self.http.token = token["token"]
        return self

    def start(self, wait=True):
        self.process = subprocess.Popen(
            [str(binaries() / "rostrum"), "serve"],
            env={**self.environment, **self.served_with},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        if wait:
            eventually(self.is_ready, 60, "the host is ready")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            tail = (self.home / "host.log").read_bytes()[-3000:].decode(errors="replace")
            raise AssertionError(f"the host ended with {self.process.returncode}:\n{tail}")
        try:
            return self.http.raw("GET", "/health/live")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            return self.process.wait(60)
        return None

    def close(self):
        try:
            self.stop()
        finally:
            self.log.close()
            subprocess.run(["pkill", "-9", "-f", str(self.home)], check=False)
            if self.own_home and not os.environ.get("ROSTRUM_KEEP"):
                self.remove_outside_database()
                shutil.rmtree(self.home, ignore_errors=True)

    def remove_outside_database(self):
        """For root the private database lies outside of a home that its user can not reach; the home says where."""
        record = self.home / "data" / "postgres.place"
        place = Path(record.read_text().split("\n")[0]) if record.exists() else None
        if place and place.parent == Path("/var/lib/rostrum"):
            shutil.rmtree(place, ignore_errors=True)

    # Processes below the host

    def descendants(self):
        """Pid and name of every process that the host started, directly or not."""
        parents, names = {}, {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)
                names[int(entry.name)] = fields[0].split("(", 1)[1]
                parents[int(entry.name)] = int(fields[1].split()[1])
            except OSError:
                continue
        found, wave = [], [self.process.pid]
        while wave:
            wave = [pid for pid, parent in parents.items() if parent in wave]
            found += [(pid, names[pid]) for pid in wave]
        return found

    def pids(self, name):
        return [pid for pid, process in self.descendants() if process.startswith(name[:15])]

    def postmaster(self):
        pids = self.pids("postgres")
        return min(pids) if pids else None

    # The API

    def connect_x(self, name):
        body = {"siteId": self.site, "platform": "x", "credentials": {"token": f"token-of-{name}"}}
        return self.http.post("/api/admin/distribution/connections", body)["id"]

    def connect_hook(self, name, secret):
        self.sandbox.hook(name, secret)
        body = {
            "siteId": self.site,
            "platform": "webhook",
            "credentials": {"signing": secret},
            "fields": {"endpoint": f"{self.sandbox.url}/hooks/{name}"},
        }
        return self.http.post("/api/admin/distribution/connections", body)["id"]

    def write(self, title, **more):
        return self.http.post("/api/posts", {"siteId": self.site, "title": title, **more})["id"]

    def dispatch(self, post, connections, at=None, key=None, **more):
        body = {"siteId": self.site, "postId": post, "connectionIds": connections, **more}
        if at is not None:
            body["scheduledFor"] = timestamp(at)
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.http.post("/api/admin/distribution/dispatch", body, headers)

    def dispatch_surely(self, *arguments, **more):
        """Asks until there is an answer; the key makes asking twice harmless."""
        key = str(uuid.uuid4())

        def ask():
            try:
                return self.dispatch(*arguments, key=key, **more)
            except Refused as refused:
                if refused.status in (500, 503):
                    return None
                raise
            except OSError:
                return None

        return eventually(ask, 120, "the dispatch is accepted", pause=0.2)

    def delivery(self, number):
        return self.http.get(f"/api/admin/distribution/logs/{number}?siteId={self.site}")

    def explain(self, number):
        return self.http.get(f"/api/admin/distribution/logs/{number}/explain?siteId={self.site}")

    def deliveries(self, **filters):
        """All deliveries, page by page."""
        rows, cursor = [], None
        while True:
            query = {"siteId": self.site, "limit": 100, **filters, **({"cursor": cursor} if cursor else {})}
            text = "&".join(f"{k}={v}" for k, v in query.items())
            _, _, data = self.http.raw("GET", f"/api/admin/distribution/queue?{text}")
            page = json.loads(data)
            if not page["success"]:
                raise Refused(0, page)
            rows += page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                return rows

    def counts(self):
        return self.http.get(f"/api/admin/distribution/queue/status?siteId={self.site}")["states"]

    def open_count(self):
        try:
            counts = self.counts()
        except (Refused, OSError):
            return None
        return sum(counts[state] for state in ("pending", "queued", "sending", "retrying"))

    def wait_for_ends(self, seconds):
        eventually(lambda: self.open_count() == 0, seconds, "every delivery has ended", pause=0.25)

    def ended(self, number, seconds=60):
        ends = ("sent", "partial", "failed", "unconfirmed", "canceled")

        def look():
            row = self.delivery(number)
            return row if row["state"] in ends else None

        return eventually(look, seconds, f"delivery {number} has ended", pause=0.05)


def timestamp(seconds):
    """RFC 3339 with milliseconds, from unix seconds."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
