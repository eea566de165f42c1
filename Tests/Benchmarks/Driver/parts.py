"""The lines that need no host: the queue and the plugin calls, each beside the least that could do the job."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import Database, Line, Meter, percentile, tries

ROOT = Path(__file__).resolve().parents[3]
BATCH = 64
JOBS = 20_000

PEER_TABLES = """
DROP TABLE IF EXISTS bench_ready, bench_leases, bench_done;
CREATE TABLE bench_ready (lane_id bigint, due_at timestamptz, job_id bigint, priority smallint, attempts smallint)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX ON bench_ready (priority, due_at, job_id);
CREATE TABLE bench_leases (job_id bigint PRIMARY KEY, owner integer, lane_id bigint, claimed_at timestamptz)
  WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE TABLE bench_done (job_id bigint, lane_id bigint, claimed_at timestamptz, ended_at timestamptz);
"""
PEER_JOBS = """
TRUNCATE bench_ready, bench_leases, bench_done;
INSERT INTO bench_ready SELECT n % 300, now(), n, 2, 0 FROM generate_series(1, {jobs}) n;
"""
# Claim a batch and commit; end it and commit. No lanes, no order, no fence, no marks, no retry.
PEER_LOOP = """
WITH j AS MATERIALIZED (
  SELECT ctid FROM bench_ready ORDER BY priority, due_at, job_id LIMIT :batch FOR UPDATE SKIP LOCKED
), d AS (DELETE FROM bench_ready r USING j WHERE r.ctid = j.ctid RETURNING r.job_id, r.lane_id)
INSERT INTO bench_leases SELECT job_id, pg_backend_pid(), lane_id, now() FROM d;
WITH d AS (DELETE FROM bench_leases WHERE owner = pg_backend_pid() RETURNING job_id, lane_id, claimed_at)
INSERT INTO bench_done SELECT job_id, lane_id, claimed_at, now() FROM d;
"""


class Parts:
    def __init__(self, binaries):
        self.binaries = binaries
        self.home = Path(tempfile.mkdtemp(prefix="rostrum-bench-", dir="/tmp"))
        # The server's own user must pass through.
        self.home.chmod(0o711)
        self.cluster = None

    def tool(self, *words):
        done = subprocess.run([str(self.binaries / "rostrum-bench"), *words], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def beside(self, *words):
        """Starts a command that says one line when it is ready and ends with its input."""
        process = subprocess.Popen(
            [str(self.binaries / "rostrum-bench"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.first = process.stdout.readline()
        if not process.first:
            raise RuntimeError(f"`{words[0]}` did not start")
        return process

    def another(self):
        return Database(*self.place)

    def start(self):
        """The private database of a fresh home."""
        self.cluster = self.beside("cluster", "--home", str(self.home / "data"), "--migrations", str(ROOT / "migrations"))
        place = json.loads(self.cluster.first)
        self.place = (place["folder"], place["user"], place["database"])
        self.database = self.another()
        self.database.query(PEER_TABLES)

    def close(self):
        if self.cluster:
            self.database.close()
            self.cluster.stdin.close()
            self.cluster.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    # Lines

    def pipeline(self, rounds):
        line = Line("pipeline", "jobs/s", f"raw pgbench claim loop, batches of {BATCH}", digits=0)
        for _ in tries(rounds, lambda: [line]):
            floor = self.database.commit_floor()
            meter = Meter({"database": (self.cluster.pid, True)}).start()
            own = self.tool("pipeline", "--database", self.database.url, "--jobs", str(JOBS))
            meter.stop()
            cpu = meter.cpu["database"] / JOBS * 1e6
            self.database.query(PEER_JOBS.format(jobs=JOBS))
            peer = self.database.pgbench(PEER_LOOP, clients=2, transactions=JOBS // BATCH // 2, batch=BATCH) * BATCH
            line.add(own["jobsPerSecond"], peer, meter.others, rows_per_flush=own["rowsPerFlush"], commit_ms=floor, cpu_us_database=cpu)
        line.show()

    def latency(self, rounds):
        p50 = Line("latency_p50", "ms", "one small durable commit")
        p99 = Line("latency_p99", "ms", "one small durable commit")
        for _ in tries(rounds, lambda: [p50, p99]):
            floor = self.database.commit_floor()
            meter = Meter().start()
            own = self.tool("latency", "--database", self.database.url, "--rate", "100", "--seconds", "8")
            meter.stop()
            p50.add(own["p50"], floor, meter.others, rate=100)
            p99.add(own["p99"], floor, meter.others, rate=100)
        p50.show()
        p99.show()

    # The goals of the queue

    def insert(self, rounds):
        jobs = Line("insert", "jobs/s", "the aim", digits=0)
        group = Line("insert_100_accounts_p50", "ms", "the aim")
        for _ in tries(rounds, lambda: [jobs, group]):
            meter = Meter().start()
            own = self.tool("insert", "--database", self.database.url, "--jobs", "200000")
            meter.stop()
            jobs.add(own["jobsPerSecond"], 60_000, meter.others)
            group.add(own["groupP50"], 5, meter.others)
        jobs.show()
        group.show()

    def vault(self, rounds):
        warm = Line("credentials_warm_p99", "ms", "the aim", digits=4)
        cold = Line("credentials_cold_p99", "ms", "the aim")
        for _ in tries(rounds, lambda: [warm, cold]):
            meter = Meter().start()
            own = self.tool("vault", "--database", self.database.url, "--reads", "20000")
            meter.stop()
            warm.add(own["warm99"], 0.05, meter.others, p50=own["warm50"])
            cold.add(own["cold99"], 5, meter.others, p50=own["cold50"])
        warm.show()
        cold.show()

    def future(self, rounds):
        """Takes minutes, so it runs once."""
        count = int(os.environ.get("ROSTRUM_BENCH_FUTURE", "5000000"))
        names = (
            ("promotion_idle_p50", "ms", "the aim", "promotionP50", 1),
            ("wake_up_p99", "ms", "the same without future rows", "fullP99", "emptyP99"),
            ("scheduled_p50", "ms", "the aim", "lateP50", 10),
            ("scheduled_p99", "ms", "the aim", "lateP99", 50),
            ("burst_of_10000", "ms", "the aim", "burst", 2_000),
        )
        meter = Meter().start()
        own = self.tool("future", "--database", self.database.url, "--rows", str(count))
        meter.stop()
        for name, unit, peer, key, other in names:
            line = Line(name, unit, peer)
            value = own[other] if isinstance(other, str) else other
            line.add(own[key], value, meter.others, future_rows=count, earliest_ms=own["earliest"])
            line.show()

    def fairness(self, rounds):
        line = Line("fairness_p99", "ms", "the same without the backlog")
        for _ in tries(rounds, lambda: [line]):
            meter = Meter().start()
            own = self.tool("fairness", "--database", self.database.url, "--seconds", "8")
            meter.stop()
            line.add(own["besideP99"], own["aloneP99"], meter.others, p50=own["besideP50"])
        line.show()

    def groups(self, rounds):
        line = Line("pause_commit", "ms", "the aim")
        for _ in tries(rounds, lambda: [line]):
            meter = Meter().start()
            own = self.tool("groups", "--database", self.database.url, "--jobs", "10000")
            meter.stop()
            line.add(own["commit"], 20, meter.others, whole_pause=own["pause"], whole_cancel=own["cancel"])
        line.show()

    def notify(self, rounds):
        """Three nodes on one database."""
        sent = Line("notify", "notifications/s", "the aim", digits=1)
        wake = Line("fan_out_p99", "ms", "the median of the first of the three")
        floor = Line("idle_commits", "commits/s", "the same without the nodes", digits=0)
        for _ in tries(rounds, lambda: [sent, wake, floor]):
            listener = self.another()
            listener.query("LISTEN rostrum_queue")
            meter = Meter().start()
            own = self.tool("notify", "--database", self.database.url, "--seconds", "10")
            meter.stop()
            heard = sum("Asynchronous notification" in row[0] for row in listener.query("SELECT 1"))
            listener.close()
            sent.add(heard / own["seconds"], 200, meter.others, inserts_per_second=own["insertsPerSecond"])
            meter = Meter().start()
            own = self.tool("fanout", "--database", self.database.url, "--rounds", "100")
            meter.stop()
            wake.add(own["lastP99"], own["firstP50"], meter.others, p50=own["lastP50"])
            meter = Meter().start()
            pairs = [self.idle_pair(place % 2 == 0) for place in range(8)]
            meter.stop()
            ratio = percentile([alone and beside / alone for alone, beside in pairs], 0.5)
            alone = percentile([pair[0] for pair in pairs], 0.5)
            floor.add(ratio * alone, alone, meter.others)
        for line in (sent, wake, floor):
            line.show()

    def idle_pair(self, alone_first):
        """Small durable commits a second without the nodes and beside them."""
        rates = {}
        for alone in (alone_first, not alone_first):
            nodes = None if alone else self.beside("idle", "--database", self.database.url)
            rates[alone] = 1_000 / self.database.commit_floor(seconds=2)
            if nodes:
                nodes.stdin.close()
                nodes.wait(30)
        return rates[True], rates[False]

    def pinned(self, rounds):
        """Takes minutes, so it runs once."""
        seconds = int(os.environ.get("ROSTRUM_BENCH_PINNED", "600"))
        rate = int(os.environ.get("ROSTRUM_BENCH_RATE", "1000"))
        print(f"pinned: {rate} jobs/s under a snapshot of {seconds} s", file=sys.stderr)
        meter = Meter({"database": (self.cluster.pid, True)}).start()
        words = ["--rate", str(rate), "--seconds", str(seconds), "--before", "90", "--after", "180"]
        own = self.tool("pinned", "--database", self.database.url, *words)
        meter.stop()
        more = {"seconds": seconds, "backlog": own["backlog"], "dead": own["deadPinned"]}
        lines = (
            ("pinned_p99", "ms", "the same before the snapshot", own["pinnedP99"], own["beforeP99"]),
            ("pinned_p99_at_the_end", "ms", "the same before the snapshot", own["endP99"], own["beforeP99"]),
            ("pinned_rate", "jobs/s", "jobs put in", own["rate"], rate),
            ("pinned_latency_back", "s", "the aim", own["latencyBack"], 60),
            ("pinned_dead_back", "s", "the aim", own["deadBack"], 60),
        )
        for name, unit, peer, value, other in lines:
            if value is None:
                print(f"bench: {name}: not within 180 s", file=sys.stderr)
                continue
            line = Line(name, unit, peer)
            line.add(value, other, meter.others, **more)
            line.show()

    def bloat(self, rounds):
        """Takes hours, so it runs once."""
        seconds = int(os.environ.get("ROSTRUM_BENCH_SOAK", str(6 * 3_600)))
        print(f"bloat: half load for {seconds} s", file=sys.stderr)
        meter = Meter({"database": (self.cluster.pid, True)}).start()
        own = self.tool("bloat", "--database", self.database.url, "--seconds", str(seconds))
        meter.stop()
        more = {"seconds": seconds, "rate": own["rate"], "p99_first": own["firstP99"], "p99_last": own["lastP99"]}
        for table in own["tables"]:
            line = Line(f"bloat_{table['name']}", "MB", "the smallest after the warm-up")
            line.add(table["largest"] / 2**20, table["smallest"] / 2**20, meter.others, **more)
            line.show()

    def plugin(self, rounds):
        pipe = self.home / "pipe"
        source = Path(__file__).with_name("pipe.c")
        subprocess.run(["cc", "-O2", "-Wall", "-o", str(pipe), str(source)], check=True)
        trip = Line("plugin_round_trip_p50", "us", "raw C pipe ping-pong", digits=1)
        calls = Line("plugin_calls", "calls/s", "raw C pipe, 64 lines in flight", digits=0)
        words = ["--manifest", str(ROOT / "plugin-manifests/x.json"), "--executable", str(self.binaries / "plugin-x")]
        for _ in tries(rounds, lambda: [trip, calls]):
            for line, count, depth, key in ((trip, 20_000, 1, "p50"), (calls, 60_000, 64, "callsPerSecond")):
                meter = Meter().start()
                own = self.tool("plugin", *words, "--calls", str(count), "--depth", str(depth))
                meter.stop()
                sizes = [str(own["requestBytes"]), str(own["replyBytes"])]
                done = subprocess.run(
                    [str(pipe), str(count), str(depth), *sizes], stdout=subprocess.PIPE, check=True
                )
                more = {"p99": own["p99"]} if depth == 1 else {}
                line.add(own[key], json.loads(done.stdout)[key], meter.others, bytes=own["requestBytes"], **more)
        trip.show()
        calls.show()
