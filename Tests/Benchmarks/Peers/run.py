"""Rostrum's queue beside others on the same machine, in turns; see docs/guides/benchmarks.md.

Everything is private: packages of PyPI in environments of their own, Redis and nginx unpacked from Debian's archives
without installing them, and servers in a folder that is removed at the end.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent / "Driver"))

from machine import Meter, percentile, wait_for_quiet  # noqa: E402
from parts import Parts  # noqa: E402

STORE = ROOT / ".build/peers"
PACKAGES = {
    "bullmq": ["bullmq==3.4.4"],
    "procrastinate": ["procrastinate==3.10.0", "psycopg[binary,pool]"],
    "pgqueuer": ["pgqueuer[asyncpg]>=1.0", "croniter>=6"],
    "awa": ["awa-pg==0.6.9"],
}
JOBS = {"rostrum": 20_000, "bullmq": 3_000, "procrastinate": 1_000, "pgqueuer": 10_000, "awa": 10_000}
SAFETY = {
    "rostrum": "lease and fence, journal of effects: a crash never repeats what was sent; found within 1 s",
    "bullmq": "lock with token, 30 s; runs again: an effect may happen twice; last second lost without appendfsync always",
    "procrastinate": "a stalled job stays until the user's own periodic task retries it; an effect may happen twice",
    "pgqueuer": "heartbeat 30 s, no fence; runs again: an effect may happen twice",
    "awa": "fence, heartbeat 90 s; runs again: an effect may happen twice",
}
DEBIAN = {
    "redis-server": ["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0", "lua-bitop", "lua-cjson"],
    "nginx": ["nginx"],
}


def environment(name):
    """The Python of a peer's own environment; None when its package can not be installed here."""
    folder = STORE / name
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        done = subprocess.run(
            [str(folder / "bin/pip"), "install", "-q", "--disable-pip-version-check", *PACKAGES[name]],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            print(f"bench-peers: {name} can not be installed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        (folder / "ready").touch()
    return python


def program(name):
    """A Debian program that is installed, or unpacked beside; with the libraries' folder."""
    installed = shutil.which(name) or (f"/usr/sbin/{name}" if Path(f"/usr/sbin/{name}").exists() else None)
    if installed:
        return installed, None
    root = STORE / "debian" / name
    if not (root / "ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        done = subprocess.run(["apt-get", "download", *DEBIAN[name]], cwd=root, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"bench-peers: {name} can not be fetched: {done.stderr.strip()}", file=sys.stderr)
            return None, None
        for package in root.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
        (root / "ready").touch()
    found = next((p for p in (root / "usr/bin" / name, root / "usr/sbin" / name) if p.exists()), None)
    return (str(found) if found else None), str(root / "usr/lib/x86_64-linux-gnu")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(port):
    """Waits until somebody listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


class Redis:
    """Every write is on the disk before its answer, as with PostgreSQL."""

    def __init__(self, folder, mode="always"):
        path, libraries = program("redis-server")
        self.process, self.port = None, free_port()
        if not path:
            return
        self.process = subprocess.Popen(
            [path, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
            + ["--appendfsync", mode, "--save", "", "--maxmemory-policy", "noeviction"],
            env={**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})},
            stdout=subprocess.DEVNULL,
        )
        started(self.port)

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)


class Peers:
    def __init__(self):
        self.binaries = Path(os.environ.get("ROSTRUM_BIN", ROOT / ".build/release"))
        self.parts = Parts(self.binaries)
        self.results = {}

    def run(self, rounds):
        pythons = {name: environment(name) for name in PACKAGES}
        self.parts.start()
        try:
            for number in range(rounds):
                wait_for_quiet()
                floor = self.parts.database.commit_floor()
                self.note("rostrum", self.own(), floor)
                for name, python in pythons.items():
                    if python is None:
                        continue
                    try:
                        self.note(name, self.peer(name, python, number), floor)
                    except (subprocess.SubprocessError, RuntimeError) as error:
                        print(f"bench-peers: {name} failed: {error}", file=sys.stderr)
        finally:
            self.parts.close()

    def note(self, name, report, floor):
        self.results.setdefault(name, []).append({**report, "commit_ms": floor})
        print(json.dumps({"peer": name, "commit_ms": round(floor, 3), **{k: round(v, 2) for k, v in report.items()}}), flush=True)

    def own(self):
        url, tool = self.parts.database.url, self.parts.tool
        insert = tool("insert", "--database", url, "--jobs", "100000")
        meter = Meter({"database": (self.parts.cluster.pid, True)}).start()
        drain = tool("pipeline", "--database", url, "--jobs", str(JOBS["rostrum"]))
        meter.stop()
        latency = tool("latency", "--database", url, "--rate", "50", "--seconds", "4")
        timed = tool("future", "--database", url, "--rows", "1")
        return {
            "insert": insert["jobsPerSecond"],
            "drain": drain["jobsPerSecond"],
            # With the putting in, which the peers' column leaves out.
            "drain_cpu_us": meter.cpu["database"] / JOBS["rostrum"] * 1e6,
            "p50": latency["p50"],
            "p99": latency["p99"],
            "late_p50": timed["lateP50"],
            "late_max": timed["lateP99"],
            "early": float(timed["earliest"] < -1),
        }

    def peer(self, name, python, number):
        redis = None
        if name == "bullmq":
            folder = self.parts.home / f"redis-{number}"
            folder.mkdir()
            redis = Redis(folder)
            if not redis.process:
                raise RuntimeError("there is no Redis")
            place = {"port": redis.port, "pid": redis.process.pid}
        else:
            database = f"{name}_{number}"
            self.parts.database.query(f"CREATE DATABASE {database}")
            folder, user = self.parts.database.place[1], self.parts.database.place[3]
            place = {
                "dsn": f"host={folder} user={user} dbname={database}",
                "url": f"postgresql://{user}@localhost/{database}?host={folder}",
                "folder": str(folder),
                "user": user,
                "database": database,
                "pid": self.parts.cluster.pid,
            }
        try:
            done = subprocess.run(
                [str(python), str(HERE / "peer.py"), name, str(JOBS[name]), json.dumps(place)],
                capture_output=True,
                text=True,
                timeout=900,
            )
            if done.returncode != 0:
                raise RuntimeError(done.stderr.strip()[-600:])
            return json.loads(done.stdout.strip().splitlines()[-1])
        finally:
            if redis:
                redis.close()

    def table(self):
        keys = [
            ("insert", "put in /s", 0), ("drain", "completed /s", 0), ("drain_cpu_us", "server CPU µs/job", 0),
            ("p50", "latency p50 ms", 1), ("p99", "p99 ms", 1), ("late_p50", "scheduled p50 ms", 1),
            ("late_max", "latest ms", 1), ("early", "early", 0),
        ]
        print("\n| queue | " + " | ".join(title for _, title, _ in keys) + " | after a crash |")
        print("|---|" + "---|" * (len(keys) + 1))
        for name, rounds in self.results.items():
            cells = [f"{statistics.median(r[key] for r in rounds):,.{digits}f}" for key, _, digits in keys]
            print(f"| {name} | " + " | ".join(cells) + f" | {SAFETY[name]} |")
        own = statistics.median(r["drain"] for r in self.results["rostrum"])
        for name in self.results:
            if name != "rostrum":
                print(f"{own / statistics.median(r['drain'] for r in self.results[name]):.1f} times {name}")


class Web:
    """The host's HTTP server beside nginx, with the same bytes on one connection at a time and on many."""

    REQUESTS = 5_000

    def __init__(self):
        sys.path.insert(0, str(ROOT / "Tests/Support/Python"))
        from rostrum import Host, Sandbox

        self.sandbox = Sandbox()
        self.host = Host(self.sandbox, ROSTRUM_API_RATE=1_000_000)
        self.host.bootstrap().start()
        self.nginx = None

    def run(self, rounds):
        status, headers, body = self.host.http.raw("GET", "/health/live")
        assert status == 200
        path, libraries = program("nginx")
        if not path:
            return
        folder = Path(tempfile.mkdtemp(prefix="rostrum-nginx-", dir="/tmp"))
        port = free_port()
        (folder / "conf").write_text(
            "daemon off; worker_processes 2; error_log stderr crit; pid nginx.pid; events { worker_connections 1024; }\n"
            "http { access_log off; keepalive_requests 1000000;\n"
            + "".join(
                f"{kind}_temp_path {folder}/{kind}; "
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"server {{ listen 127.0.0.1:{port};\n"
            f"location / {{ default_type application/json; return 200 '{body.decode()}'; }} }} }}\n"
        )
        self.nginx = subprocess.Popen(
            [path, "-p", str(folder), "-c", str(folder / "conf")],
            env={**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})},
        )
        try:
            started(port)
            rates = {"rostrum": [], "nginx": []}
            for _ in range(rounds):
                for name, target in (("rostrum", self.host.port), ("nginx", port)):
                    rates[name].append(self.load(target))
            for name, values in rates.items():
                rate, p50, p99 = (statistics.median(v[n] for v in values) for n in range(3))
                print(json.dumps({"server": name, "bytes": len(body), "per_second": round(rate), "p50_ms": round(p50, 3),
                                  "p99_ms": round(p99, 3)}))
        finally:
            self.nginx.terminate()
            self.nginx.wait(10)
            shutil.rmtree(folder, ignore_errors=True)

    def load(self, port):
        """One kept connection; the client is the same for both, so what it costs stands in both columns."""
        times = []
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
            began = time.monotonic()
            for _ in range(self.REQUESTS):
                sent = time.monotonic()
                link.sendall(request)
                data = link.recv(65_536)
                while b"\r\n\r\n" not in data:
                    data += link.recv(65_536)
                head, rest = data.split(b"\r\n\r\n", 1)
                length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
                while len(rest) < length:
                    rest += link.recv(65_536)
                times.append((time.monotonic() - sent) * 1_000)
            seconds = time.monotonic() - began
        return self.REQUESTS / seconds, percentile(times, 0.5), percentile(times, 0.99)

    def close(self):
        self.host.close()
        self.sandbox.close()


def main():
    rounds = int(os.environ.get("ROSTRUM_BENCH_ROUNDS", "3"))
    peers = Peers()
    peers.run(rounds)
    peers.table()
    web = Web()
    try:
        web.run(rounds)
    finally:
        web.close()


if __name__ == "__main__":
    main()
