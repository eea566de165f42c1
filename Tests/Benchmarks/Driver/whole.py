"""The lines that need a whole system: host, plugins, private database and sandbox, driven over HTTP."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import Database, Line, Meter, percentile, proportional_memory, tries

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Support/Python"))
from rostrum import Host, Sandbox, eventually, timestamp  # noqa: E402

CONNECTIONS = 300
IN_FLIGHT = 256
# What the simulated platform takes for an answer.
PLATFORM_MS = 5
DISPATCH_RATE = 500
# Deliveries that go out before the measured ones: the server plans its statements anew after statistics were taken.
PRIMERS = 30
# Seconds from the plan to the first due time; the primers go out in the last of them.
NOTICE = 3.0
# The specification's limit for an answer of the API.
ALLOWED_MS = 300


class Whole:
    def __init__(self, binaries):
        self.binaries = binaries
        self.posts = 0
        self.lines = {}
        self.idle = None

    def start(self):
        self.sandbox = Sandbox("--unlimited", "--delay-ms", str(PLATFORM_MS))
        self.host = Host(
            self.sandbox,
            ROSTRUM_RATE_LIMITS="x=off",
            ROSTRUM_API_RATE=1_000_000,
            ROSTRUM_SLOTS=IN_FLIGHT,
        )
        # The database's own user must pass through, so that everything stays in this folder.
        self.host.home.chmod(0o711)
        Path(self.host.environment["ROSTRUM_HOME"]).mkdir(mode=0o711)
        self.host.start()
        self.host.bootstrap()
        self.database = self.open_database()
        self.idle = self.memory_now()
        names = [f"bench{n}" for n in range(CONNECTIONS)]
        for start in range(0, CONNECTIONS, 100):
            self.sandbox.accounts(names[start : start + 100])
        with ThreadPoolExecutor(8) as pool:
            self.connections = list(pool.map(self.host.connect_x, names))
        host = self.host.process.pid
        self.groups = {
            "host": (host, False),
            "plugin": (self.host.pids("plugin-x")[0], True),
            "database": (self.host.postmaster(), True),
            "sandbox": (self.sandbox.process.pid, False),
        }
        self.warm_up()

    def warm_up(self):
        """Brings the fresh server to the state of one that has worked for minutes.

        Each new 16 MB of a young server's log are filled with zeros while commits wait; after a checkpoint the used
        ones are taken again.
        """
        ids = self.plan(9_000)
        self.measured(ids, time.time() + NOTICE, 0.0, 120)
        self.database.query("VACUUM ANALYZE")
        self.database.query("CHECKPOINT")

    def open_database(self):
        """The private database, found as a person would find it: a note in the home, the server's own file."""
        home = Path(self.host.environment["ROSTRUM_HOME"])
        note = home / "postgres.place"
        root = Path(note.read_text().strip()) if note.exists() else home / "postgres"
        folder = Path((root / "data/postmaster.pid").read_text().splitlines()[4])
        return Database(folder, "rostrum", "rostrum")

    def close(self):
        database = getattr(self, "database", None)
        if database:
            database.close()
        if hasattr(self, "host"):
            self.host.close()
        if hasattr(self, "sandbox"):
            self.sandbox.close()

    def run(self, names, rounds):
        measured = [name for name in names if name not in ("start", "memory")]
        # The lines take turns, so that a change of the machine meets all of them.
        for number in tries(rounds, self.lines.values) if measured else ():
            for name in measured:
                if number < rounds or not self.is_settled(name, rounds):
                    getattr(self, name)()
        if "memory" in names:
            self.memory()
        if "start" in names:
            for _ in tries(rounds, lambda: [self.lines["cold_start"]]):
                self.cold_start()
        for line in self.lines.values():
            line.show()

    def is_settled(self, name, rounds):
        return all(line.quiet_rounds >= rounds for line in self.lines.values() if line.name.startswith(name))

    def line(self, name, unit, peer, digits=2):
        return self.lines.setdefault(name, Line(name, unit, peer, digits))

    # Load

    def plan(self, count):
        """Accepts at least `count` deliveries, far in the future; returns their ids in the order of the posts."""
        ids = []
        far = time.time() + 86_400
        while len(ids) < count:
            self.posts += 1
            text = f"Post {self.posts} of the benchmark, with a text of its own that is about as long as posts are"
            post = self.host.write(text)
            for start in range(0, CONNECTIONS, 100):
                answer = self.host.dispatch(post, self.connections[start : start + 100], at=far)
                ids += [delivery["id"] for delivery in answer["deliveries"]]
        return ids

    def release(self, ids, start, spacing=0.0):
        """Brings planned deliveries forward: the n-th is due at `start` + n * `spacing`, the primers a second before."""
        self.database.query(
            f"""
            CREATE TEMP TABLE IF NOT EXISTS plan (id bigint PRIMARY KEY, due timestamptz, is_primer boolean);
            TRUNCATE plan;
            INSERT INTO plan SELECT id, to_timestamp(
                {start!r} + CASE WHEN place > {PRIMERS} THEN (place - {PRIMERS} - 1) * {spacing!r} ELSE -1 END
              ), place <= {PRIMERS}
              FROM unnest('{{{",".join(map(str, ids))}}}'::bigint[]) WITH ORDINALITY AS t(id, place);
            ANALYZE plan;
            BEGIN;
            UPDATE due SET due_at = p.due FROM plan p WHERE due.job_id = p.id;
            UPDATE jobs SET due_at = p.due FROM plan p WHERE jobs.job_id = p.id;
            UPDATE deliveries SET scheduled_for = p.due FROM plan p WHERE deliveries.id = p.id;
            COMMIT;
            VACUUM ANALYZE due, jobs, deliveries
            """
        )

    def drain(self, ids, seconds):
        """Waits until the plan has ended, and makes sure that everything was sent."""
        probe = (
            "SELECT EXISTS (SELECT FROM leases) OR EXISTS (SELECT FROM ready)"
            " OR EXISTS (SELECT FROM due WHERE due_at < now() + '1 hour')"
        )
        try:
            eventually(lambda: self.database.query(probe) == [["f"]], seconds, "every delivery has ended", pause=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.leftovers()}") from None

    def leftovers(self):
        """What a run that does not end has left: jobs by place, and how their attempts ended."""
        return self.database.query(
            """
            SELECT s.state, s.attempts, min(s.due_at - now()), count(*), (SELECT string_agg(DISTINCT
              concat_ws(' ', a.outcome, a.error), ', ') FROM attempts a WHERE a.job_id = min(s.job_id))
            FROM job_states s WHERE s.due_at < now() + '1 hour' GROUP BY 1, 2
            """
        )

    def outcome(self):
        """Seconds from due to sent of the planned deliveries, and what was not sent."""
        rows = self.database.query(
            """
            SELECT d.ended_as, extract(epoch FROM d.ended_at - d.scheduled_for), extract(epoch FROM d.ended_at)
            FROM plan p JOIN deliveries d USING (id) WHERE NOT p.is_primer
            """
        )
        unsent = [row for row in rows if row[0] != "sent"]
        if unsent:
            raise AssertionError(f"{len(unsent)} deliveries were not sent, such as {unsent[0]}")
        return [float(row[1]) for row in rows], max(float(row[2]) for row in rows)

    def measured(self, ids, start, spacing, seconds):
        """Runs a plan; returns the meter, the lateness of each measured delivery and the instant of the last end."""
        self.release(ids, start, spacing)
        time.sleep(max(0.0, start - time.time()))
        flushes = self.metrics()
        commits = self.commits()
        meter = Meter(self.groups).start()
        self.drain(ids, seconds)
        meter.stop()
        late, last = self.outcome()
        after = self.metrics()
        rows = after["queue_flushed_rows"] - flushes["queue_flushed_rows"]
        meter.rows_per_flush = rows / max(1, after["queue_flushes"] - flushes["queue_flushes"])
        meter.commits = (self.commits() - commits) / len(late)
        return meter, late, last

    def metrics(self):
        _, _, text = self.host.http.raw("GET", "/metrics")
        found = {}
        for line in text.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name.removeprefix("rostrum_").removesuffix("_total")] = float(value)
        return found

    def commits(self):
        return self.database.number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")

    @staticmethod
    def cpu(meter, count):
        """Microseconds of processor time of each process for one delivery."""
        each = {f"cpu_us_{name}": seconds * 1e6 / count for name, seconds in meter.cpu.items()}
        return {**each, "cpu_us": sum(v for k, v in each.items() if k != "cpu_us_sandbox")}

    # Lines

    def deliveries(self, count=9_000):
        ids = self.plan(count)
        floor = self.database.commit_floor()
        start = time.time() + NOTICE
        meter, late, last = self.measured(ids, start, 0.0, 120)
        more = self.cpu(meter, len(late))
        more |= {"rows_per_flush": meter.rows_per_flush, "commits_per_delivery": meter.commits, "commit_ms": floor}
        line = self.line("deliveries", "deliveries/s", "the aim", digits=0)
        line.add(len(late) / (last - start), 2_000, meter.others, **more)

    def overhead(self):
        for rate, count in ((200, 1_500), (1_000, 6_000)):
            ids = self.plan(count)
            floor = self.database.commit_floor()
            start = time.time() + NOTICE
            meter, late, _ = self.measured(ids, start, 1 / rate, 120)
            own = [seconds * 1_000 - PLATFORM_MS for seconds in late]
            more = {**self.cpu(meter, len(late)), "commits_per_delivery": meter.commits, "commit_ms": floor}
            for name, share, aim in (("p50", 0.5, 5), ("p99", 0.99, 15)):
                line = self.line(f"overhead_{name}_at_{rate}", "ms", "the aim")
                line.add(percentile(own, share), aim, meter.others, **more)

    def dispatch(self, seconds=6):
        count = DISPATCH_RATE * seconds
        posts = [self.host.write(f"Dispatch {n} {time.time()}") for n in range(-(-count // CONNECTIONS))]
        far = timestamp(time.time() + 30 * 86_400)
        bodies = [
            json.dumps({"siteId": self.host.site, "postId": post, "connectionIds": [connection], "scheduledFor": far})
            for post in posts
            for connection in self.connections
        ][:count]
        floor = self.database.commit_floor()
        meter = Meter(self.groups).start()
        done = subprocess.run(
            [str(self.binaries / "rostrum-bench"), "load", "--rate", str(DISPATCH_RATE)]
            + ["--url", f"http://127.0.0.1:{self.host.port}/api/admin/distribution/dispatch"]
            + ["--token", self.host.http.token],
            input="\n".join(bodies).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        meter.stop()
        own = json.loads(done.stdout)
        if own["errors"]:
            raise AssertionError(f"{own['errors']} of {count} dispatches failed")
        more = {"p50": own["p50"], "p99": own["p99"], "achieved": own["achieved"], "commit_ms": floor}
        more |= {f"cpu_us_{k}": v * 1e6 / count for k, v in meter.cpu.items() if k != "sandbox"}
        line = self.line("dispatch_p95_at_500", "ms", "the limit of the requirements")
        line.add(own["p95"], ALLOWED_MS, meter.others, **more)

    def memory_now(self):
        """PSS in MB of the host and of the largest plugin."""
        plugins = [p for p, name in self.host.descendants() if name.startswith("plugin-")]
        return (
            proportional_memory([self.host.process.pid]),
            max((proportional_memory([p]) for p in plugins), default=None),
        )

    def memory(self):
        ids = self.plan(6_000)
        start = time.time() + NOTICE
        self.release(ids, start)
        samples = []

        def sample():
            samples.append(self.memory_now())
            return self.database.query("SELECT EXISTS (SELECT FROM leases) OR EXISTS (SELECT FROM ready)") == [["f"]]

        time.sleep(max(0.0, start - time.time()) + 0.3)
        eventually(sample, 120, "every delivery has ended", pause=0.2)
        self.line("memory_host_idle", "MB", "the aim", 1).add(self.idle[0], 60)
        self.line("memory_host_at_256", "MB", "the aim", 1).add(max(s[0] for s in samples), 60)
        self.line("memory_plugin_at_256", "MB", "the aim", 1).add(max(s[1] for s in samples), 20)

    def cold_start(self):
        self.host.stop()
        meter = Meter().start()
        self.host.start(wait=False)
        eventually(self.host.is_ready, 60, "the host is ready", pause=0.002)
        meter.stop()
        self.line("cold_start", "s", "the aim", 3).add(meter.seconds, 1, meter.others)
