"""Runs one other queue by its own client: `peer.py NAME JOBS PLACE`; prints one JSON object.

PLACE is JSON: `dsn` and `url` of a fresh database, or `port` of a Redis, and `pid` of the server, whose processor time is
the measure that does not depend on the client's language. Each part is tuned as the peer's own documentation says.
"""

import asyncio
import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Driver"))

from machine import family, percentile, process_table  # noqa: E402

BATCH = 1_000
SINGLES = 100
TIMED = 100
TEXT = "x" * 200


class Tally:
    """What the handlers saw: how many, and how late each was."""

    def __init__(self):
        self.count, self.target, self.late, self.done = 0, None, [], asyncio.Event()

    def expect(self, count):
        self.count, self.target, self.late = 0, count, []
        self.done.clear()

    def saw(self, due=0.0):
        if due:
            self.late.append((time.time() - due) * 1_000)
        self.count += 1
        if self.count == self.target:
            self.done.set()


class Bench:
    """The phases that are the same for every peer; a peer fills in how to put in and how to work."""

    def __init__(self, place):
        self.place, self.tally = place, Tally()

    def cpu(self):
        table = process_table()
        return sum(table[pid][2] for pid in family(table, self.place["pid"]) if pid in table)

    async def run(self, jobs):
        await self.open()
        began, used = time.monotonic(), self.cpu()
        for first in range(0, jobs, BATCH):
            await self.put([0.0] * min(BATCH, jobs - first))
        report = {"insert": jobs / (time.monotonic() - began), "insert_cpu_us": (self.cpu() - used) / jobs * 1e6}
        self.tally.expect(jobs)
        began, used = time.monotonic(), self.cpu()
        worker = asyncio.ensure_future(self.work())
        await asyncio.wait_for(self.tally.done.wait(), 600)
        # Counted where it is true: in the store, not by calls of handlers.
        while await self.left() > 0:
            await asyncio.sleep(0.01)
        report["drain"] = jobs / (time.monotonic() - began)
        report["drain_cpu_us"] = (self.cpu() - used) / jobs * 1e6
        self.tally.expect(SINGLES)
        for _ in range(SINGLES):
            await self.put([time.time()])
            await asyncio.sleep(0.02)
        await asyncio.wait_for(self.tally.done.wait(), 60)
        report["p50"], report["p99"] = percentile(self.tally.late, 0.5), percentile(self.tally.late, 0.99)
        self.tally.expect(TIMED)
        start = time.time() + 2
        await self.put([start + 3 * n / TIMED for n in range(TIMED)], later=True)
        await asyncio.wait_for(self.tally.done.wait(), 60)
        report["late_p50"], report["late_max"] = percentile(self.tally.late, 0.5), max(self.tally.late)
        report["early"] = sum(1 for late in self.tally.late if late < -1)
        worker.cancel()
        return report


class Procrastinate(Bench):
    async def open(self):
        import procrastinate

        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=self.place["dsn"], max_size=8))
        await self.app.open_async()
        await self.app.schema_manager.apply_schema_async()

        @self.app.task(name="work", queue="bench")
        async def work(due, text):
            self.tally.saw(due)

        self.task = work

    async def put(self, dues, later=False):
        if not later:
            await self.task.batch_defer_async(*[{"due": due, "text": TEXT} for due in dues])
            return
        for due in dues:
            at = datetime.fromtimestamp(due, timezone.utc)
            await self.task.configure(schedule_at=at).defer_async(due=due, text=TEXT)

    async def work(self):
        await self.app.run_worker_async(queues=["bench"], concurrency=20, install_signal_handlers=False)

    async def left(self):
        rows = await self.app.connector.execute_query_all_async(
            "SELECT count(*) AS n FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        )
        return rows[0]["n"]


class PgQueuer(Bench):
    async def open(self):
        import asyncpg
        from pgqueuer import AsyncpgPoolDriver, PgQueuer, Queries

        self.pool = await asyncpg.create_pool(
            host=self.place["folder"],
            user=self.place["user"],
            database=self.place["database"],
            min_size=2,
            max_size=8,
        )
        driver = AsyncpgPoolDriver(self.pool)
        self.queries = Queries(driver)
        await self.queries.install()
        self.queuer = PgQueuer(driver)

        @self.queuer.entrypoint("bench")
        async def work(job):
            self.tally.saw(json.loads(job.payload)["due"])

    async def put(self, dues, later=False):
        payloads = [json.dumps({"due": due, "text": TEXT}).encode() for due in dues]
        after = [timedelta(seconds=max(0, due - time.time())) for due in dues] if later else [None] * len(dues)
        await self.queries.enqueue(["bench"] * len(dues), payloads, [0] * len(dues), after)

    async def work(self):
        await self.queuer.run(batch_size=500)

    async def left(self):
        return await self.pool.fetchval("SELECT count(*) FROM pgqueuer")


class Awa(Bench):
    async def open(self):
        from dataclasses import dataclass

        import awa

        @dataclass
        class Work:
            due: float
            text: str

        self.kind = Work
        self.client = awa.AsyncClient(self.place["url"], max_connections=8)
        await self.client.migrate()

        @self.client.task(Work, queue="bench")
        async def work(job):
            self.tally.saw(job.args.due)

    async def put(self, dues, later=False):
        if later:
            for due in dues:
                at = datetime.fromtimestamp(due, timezone.utc)
                await self.client.insert(self.kind(due, TEXT), queue="bench", run_at=at)
        else:
            await self.client.insert_many_copy([self.kind(due, TEXT) for due in dues], queue="bench")

    async def work(self):
        await self.client.start([("bench", 256)], poll_interval_ms=50)

    async def left(self):
        return 0


class BullMQ(Bench):
    async def open(self):
        from bullmq import Queue

        self.options = {"connection": {"host": "127.0.0.1", "port": self.place["port"]}}
        self.queue = Queue("bench", self.options)

    async def put(self, dues, later=False):
        jobs = [{"name": "work", "data": {"due": due, "text": TEXT}, "opts": {"removeOnComplete": True}} for due in dues]
        if later:
            for job, due in zip(jobs, dues):
                job["opts"]["delay"] = max(1, int((due - time.time()) * 1_000))
        await self.queue.addBulk(jobs)

    async def work(self):
        from bullmq import Worker

        async def process(job, token):
            self.tally.saw(job.data["due"])

        self.worker = Worker("bench", process, {**self.options, "concurrency": 100})
        await asyncio.Event().wait()

    async def left(self):
        counts = await self.queue.getJobCounts("waiting", "active")
        return sum(counts.values())


PEERS = {"procrastinate": Procrastinate, "pgqueuer": PgQueuer, "awa": Awa, "bullmq": BullMQ}


async def main():
    name, jobs, place = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    report = await PEERS[name](place).run(jobs)
    print(json.dumps(report), flush=True)
    # Clients that can not be stopped in the middle of a wait end with the process.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
