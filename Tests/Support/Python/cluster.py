"""Servers, poolers and connections of PostgreSQL that a test may stop, promote, cut and slow down."""

import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from rostrum import Host, eventually, lives

KEY = "00112233445566778899aabbccddeeff" * 2


def programs():
    """The folder of PostgreSQL's programs: the newest of Debian's, else that of pg_config."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if found:
        return found[-1]
    return Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())


def as_server():
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


class Cluster:
    """A server of its own in a folder of its own."""

    def __init__(self, folder=None, **settings):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="rostrum-pg-"))
        self.data = self.folder / "data"
        self.port = Host.free_port()
        self.settings = settings
        self.process = None
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)

    def make(self):
        self.tool("initdb", "-D", self.data, "-U", "rostrum", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        self.execute("CREATE DATABASE rostrum", database="postgres")
        return self

    def tool(self, name, *arguments):
        done = subprocess.run(
            [str(programs() / name), *map(str, arguments)],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            **as_server(),
        )
        if done.returncode:
            raise AssertionError(f"{name}: {done.stdout.decode()}")
        return done.stdout.decode()

    def start(self):
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": str(self.folder),
            "max_connections": 200, "shared_buffers": "64MB", "wal_level": "replica", "max_wal_senders": 5,
            "hot_standby": "on", **self.settings,
        }
        (self.folder / "log").touch()
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [str(programs() / "postgres"), "-D", str(self.data), *[f"-c{k}={v}" for k, v in options.items()]],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **as_server(),
        )
        log.close()
        eventually(self.answers, 60, "the server answers")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text()[-2000:])
        try:
            return self.execute("SELECT 1", database="postgres") == "1"
        except subprocess.CalledProcessError:
            return False

    def execute(self, sql, database="rostrum"):
        return subprocess.check_output(
            [str(programs() / "psql"), "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "rostrum", "-c", sql, database],
            text=True,
            stderr=subprocess.PIPE,
            timeout=60,
        ).strip()

    def url(self, port=None):
        return f"postgresql://rostrum@127.0.0.1:{port or self.port}/rostrum"

    def standby(self, name, synchronous=False, port=None):
        """A copy that follows this server; a synchronous one has every commit before it is answered."""
        copy = Cluster()
        self.tool(
            "pg_basebackup", "-D", copy.data, "-R", "--checkpoint=fast", "--no-sync",
            "-d", f"host=127.0.0.1 port={port or self.port} user=rostrum application_name={name}",
        )
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:postgres", str(copy.data)], check=True)
        copy.start()
        kind = "sync" if synchronous else "async"
        if synchronous:
            self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", database="postgres")
            self.execute("SELECT pg_reload_conf()", database="postgres")
        state = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        eventually(lambda: self.execute(state, database="postgres") == kind, 60, f"the standby follows ({kind})")
        return copy

    def promote(self):
        self.tool("pg_ctl", "promote", "-D", self.data, "-w")
        return self

    def stop(self, number=signal.SIGINT):
        """SIGINT ends it in order, SIGQUIT without a checkpoint."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def kill(self):
        """Kills the server and all its processes at once."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(60)
        eventually(lambda: not any(lives(int(pid)) for pid in children), 30, "the server's processes are gone")

    def close(self):
        self.stop(signal.SIGQUIT)
        if not os.environ.get("ROSTRUM_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


class Proxy:
    """Carries TCP connections to a port, and spoils them on demand."""

    def __init__(self, target):
        self.target = target
        self.delay = 0
        self.refuses = False
        self.stalls = False
        self.pairs = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.add((near, far))
            threading.Thread(target=self.carry, args=(near, far), daemon=True).start()

    def carry(self, near, far):
        try:
            while True:
                ready, _, _ = select.select([near, far], [], [], 60)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    while self.stalls:
                        time.sleep(0.01)
                    if self.delay:
                        time.sleep(self.delay)
                    (far if end is near else near).sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.pairs.discard((near, far))
            for end in (near, far):
                end.close()

    def cut(self):
        """Ends every connection; new ones are carried again."""
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def retarget(self, port):
        self.target = port
        self.cut()

    def close(self):
        self.refuses = True
        self.stalls = False
        self.listener.close()
        self.cut()


class Fleet:
    """Hosts with homes of their own on one database, with one folder of media."""

    def __init__(self, sandbox, url, count, **settings):
        self.media = Path(tempfile.mkdtemp(prefix="rostrum-media-"))
        self.settings = {
            "DATABASE_URL": url, "ROSTRUM_MEDIA": self.media, "OAUTH_ENCRYPTION_KEY": KEY, **settings,
        }
        self.sandbox = sandbox
        self.hosts = []
        for _ in range(count):
            self.add()

    def add(self, **settings):
        host = Host(self.sandbox, **{**self.settings, **settings})
        if self.hosts:
            host.site, host.http.token = self.hosts[0].site, self.hosts[0].http.token
        self.hosts.append(host)
        return host

    def start(self):
        """Starts all; the first also makes the site and the token."""
        if self.hosts[0].site is None:
            self.hosts[0].bootstrap()
        for host in self.hosts:
            host.site, host.http.token = self.hosts[0].site, self.hosts[0].http.token
            host.start()
        return self

    def __getitem__(self, place):
        return self.hosts[place]

    def close(self):
        for host in self.hosts:
            host.close()
        shutil.rmtree(self.media, ignore_errors=True)


def instant(text):
    """Unix seconds of an instant in the ledger."""
    return datetime.fromisoformat(text).timestamp()


def published(sandbox):
    """What the platform holds, by text; a text that is there twice fails the test."""
    entries = sandbox.ledger()["entries"]
    texts = [entry["text"] for entry in entries]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    assert not twice, f"published twice: {twice}"
    return {entry["text"]: entry for entry in entries}
