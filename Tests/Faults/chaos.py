"""Breaks hosts, plugins, the database and connections at random while posts go out, and judges what came of it.

`python Tests/Faults/chaos.py --minutes 30 --hosts 3 --deliveries 20000 --seed 7` runs it by hand. It prints its seed;
the seed fixes what is broken and when, the machine's scheduler is not fixed.

The judge reads the platform's ledger and the API, and nothing else.
"""

import argparse
import collections
import json
import os
import random
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Support" / "Python"))

from cluster import Cluster, Fleet, Proxy, instant
from rostrum import Refused, Sandbox, eventually, timestamp

#: What can happen, and how often beside the others.
TROUBLE = {
    "host killed": 4,
    "host restarted": 2,
    "host stopped for a while": 1,
    "plugin killed": 4,
    "database killed": 1,
    "database restarted": 1,
    "database connections cut": 4,
    "database slow": 3,
    "database silent": 2,
    "platform connections cut": 4,
    "platform slow": 3,
    "platform silent": 2,
}


class Platform:
    """The sandbox as hosts see it: through a proxy."""

    def __init__(self, sandbox, proxy):
        self.port = proxy.port
        self.url = f"http://127.0.0.1:{proxy.port}"
        self.sandbox = sandbox


class Chaos:
    """A whole system, a plan of posts, and a plan of trouble."""

    def __init__(self, seed, hosts=3, deliveries=20_000, seconds=1800, accounts=40, pause=8, long=True):
        self.seed, self.seconds, self.deliveries, self.pause, self.long = seed, seconds, deliveries, pause, long
        self.random = random.Random(seed)
        self.happened = collections.Counter()
        self.accepted = {}
        self.problems = []
        self.done = threading.Event()
        self.sandbox = Sandbox("--unlimited")
        # A copy must show in the ledger, not be refused.
        self.sandbox.settings(duplicateWindowMs=0)
        self.platform = Proxy(self.sandbox.port)
        self.cluster = Cluster().make()
        self.entrance = Proxy(self.cluster.port)
        seen = Platform(self.sandbox, self.platform)
        # The own limits of accounts would be waited for, and nothing but that.
        settings = {"ROSTRUM_RATE_LIMITS": "x=off", "ROSTRUM_API_RATE": 10_000}
        self.fleet = Fleet(seen, self.cluster.url(self.entrance.port), hosts, **settings).start()
        names = [f"account{number}" for number in range(accounts)]
        self.sandbox.accounts(names)
        self.connections = [self.fleet[0].connect_x(name) for name in names]
        self.tending = threading.Lock()

    # Hosts

    def ask(self, call):
        """Asks the hosts in turn until one answers; keys make asking again harmless."""
        end = time.monotonic() + 180
        while time.monotonic() < end:
            for host in random.sample(self.fleet.hosts, len(self.fleet.hosts)):
                try:
                    return call(host)
                except Refused as refused:
                    if refused.status not in (409, 429, 500, 503):
                        raise
                except (OSError, ValueError):
                    pass
            time.sleep(0.2)
        raise AssertionError("no host answered for 180 s")

    def tend(self):
        """Starts what has ended, as a service manager does."""
        while not self.done.wait(0.5):
            with self.tending:
                for host in self.fleet.hosts:
                    if host.process.poll() is not None:
                        host.start(wait=False)
                        self.happened["hosts started"] += 1

    # Posts

    def plan(self, start):
        """Hands in posts shortly before they are due, each for ten accounts."""
        width = min(10, len(self.connections))
        count = -(-self.deliveries // width)
        try:
            for number in range(count):
                due = start + self.seconds * number / count
                time.sleep(max(0, due - 15 - time.time()))
                first = number * width % len(self.connections)
                chosen = [self.connections[(first + place) % len(self.connections)] for place in range(width)]
                self.hand_in(f"Post {number} of {self.seed}", chosen, due)
        except Exception as error:  # shown at the end
            self.problems.append(f"planning: {error!r}")

    def hand_in(self, text, connections, due):
        keys = [str(uuid.uuid4()) for _ in range(2)]
        site = self.fleet[0].site
        post = self.ask(
            lambda host: host.http.post("/api/posts", {"siteId": site, "title": text}, {"Idempotency-Key": keys[0]})
        )["id"]
        body = {"siteId": site, "postId": post, "connectionIds": connections, "scheduledFor": timestamp(due)}
        answer = self.ask(
            lambda host: host.http.post("/api/admin/distribution/dispatch", body, {"Idempotency-Key": keys[1]})
        )
        for delivery in answer["deliveries"]:
            self.accepted[delivery["id"]] = due

    # Trouble

    def trouble(self, start):
        words, weights = zip(*TROUBLE.items())
        while True:
            moment = self.random.expovariate(1 / self.pause)
            what = self.random.choices(words, weights)[0]
            place = self.random.randrange(len(self.fleet.hosts))
            length = self.random.uniform(0.2, 4)
            if time.time() + moment > start + self.seconds:
                return
            time.sleep(moment)
            try:
                self.cause(what, self.fleet[place], length)
                self.happened[what] += 1
            except Exception as error:  # shown at the end
                self.problems.append(f"{what}: {error!r}")

    def cause(self, what, host, length):
        if what == "host killed":
            self.signal([host.process.pid], signal.SIGKILL)
        elif what == "host restarted":
            self.signal([host.process.pid], signal.SIGTERM)
        elif what == "host stopped for a while":
            pids = [host.process.pid, *[pid for pid, _ in host.descendants()]]
            self.signal(pids, signal.SIGSTOP)
            # Longer than a lease in the long form.
            time.sleep(length * (5 if self.long else 0.5))
            self.signal(pids, signal.SIGCONT)
        elif what == "plugin killed":
            self.signal(host.pids("plugin-x"), signal.SIGKILL)
        elif what in ("database killed", "database restarted"):
            self.cluster.kill() if what == "database killed" else self.cluster.stop()
            time.sleep(length / 2)
            self.cluster.start()
        else:
            proxy = self.entrance if what.startswith("database") else self.platform
            if what.endswith("cut"):
                proxy.cut()
            elif what.endswith("slow"):
                proxy.delay = length / 40
                time.sleep(length)
                proxy.delay = 0
            else:
                proxy.stalls = True
                time.sleep(length)
                proxy.stalls = False

    @staticmethod
    def signal(pids, number):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    # Judgement

    def run(self):
        """Runs to the end and answers with the judgement."""
        start = time.time() + 20
        tender = threading.Thread(target=self.tend, daemon=True)
        tender.start()
        planner = threading.Thread(target=self.plan, args=(start,), daemon=True)
        planner.start()
        self.trouble(start)
        planner.join(600)
        began = time.monotonic()
        try:
            eventually(lambda: self.open_count() == 0, 600, "every delivery has ended", pause=1)
        except AssertionError as error:
            self.problems.append(str(error))
        settled = time.monotonic() - began
        return self.judge(settled)

    def open_count(self):
        for host in self.fleet.hosts:
            count = host.open_count()
            if count is not None:
                return count
        return None

    def judge(self, settled):
        rows = {row["id"]: row for row in self.ask(lambda host: host.deliveries())}
        entries = self.sandbox.ledger()["entries"]
        out = collections.Counter((entry["account"], entry["text"]) for entry in entries)
        states = collections.Counter(row["state"] for row in rows.values())
        ends = ("sent", "partial", "failed", "unconfirmed", "canceled")
        known = {(row["accountName"], row["postTitle"]) for row in rows.values()}
        lost = [n for n in self.accepted if n not in rows or out[(rows[n]["accountName"], rows[n]["postTitle"])] == 0]
        urls = {entry["url"] for entry in entries}
        wrong = [n for n, row in rows.items() if row["state"] == "sent" and row["url"] not in urls]
        held = self.ask(lambda host: host.http.get("/api/admin/hold"))["isHeld"]
        due = {(rows[n]["accountName"], rows[n]["postTitle"]): at for n, at in self.accepted.items() if n in rows}
        late = sorted(
            instant(entry["at"]) - due[(entry["account"], entry["text"])]
            for entry in entries
            if (entry["account"], entry["text"]) in due
        )
        verdict = {
            "seed": self.seed,
            "deliveries": len(self.accepted),
            "published": len(entries),
            "duplicates": sum(count - 1 for count in out.values() if count > 1),
            "lost": len(lost),
            "stuck": sum(row["state"] not in ends for row in rows.values()),
            "unasked": len([key for key in out if key not in known]),
            "wrong_urls": len(wrong),
            "early": sum(at < 0 for at in late),
            "states": dict(states),
            "settled_s": round(settled, 1),
            "late_p50_s": round(late[len(late) // 2], 3) if late else None,
            "late_p99_s": round(late[len(late) * 99 // 100], 3) if late else None,
            "held": held,
            "trouble": dict(self.happened),
            "problems": self.problems[:10],
        }
        self.suspects = [n for n, row in rows.items() if row["state"] != "sent"][:5]
        return verdict

    def stories(self):
        """Of deliveries that did not end as they should."""
        return [self.ask(lambda host: host.explain(number)) for number in self.suspects]

    def close(self):
        self.done.set()
        self.platform.stalls = self.entrance.stalls = False
        with self.tending:
            self.fleet.close()
        for part in (self.entrance, self.platform, self.cluster, self.sandbox):
            part.close()


def is_good(verdict):
    """Whether nothing went out twice, nothing was lost, and nothing is stuck."""
    nothing = ("duplicates", "lost", "stuck", "unasked", "wrong_urls", "early")
    return (
        not any(verdict[name] for name in nothing)
        and set(verdict["states"]) == {"sent"}
        and not verdict["held"]
        and not verdict["problems"]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chaos = Chaos(options.seed, options.hosts, options.deliveries, options.minutes * 60)
    try:
        verdict = chaos.run()
        print(json.dumps(verdict), flush=True)
        if not is_good(verdict):
            print(json.dumps(chaos.stories(), indent=1))
            sys.exit(1)
    finally:
        chaos.close()


if __name__ == "__main__":
    main()
