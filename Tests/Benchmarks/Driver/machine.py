"""What the machine does while something is measured: processor time by process, the share of others, the disk."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
# Above this share of a core taken by others, a figure says more about them than about Rostrum.
QUIET = 0.35
# How many seconds a round waits for others to leave the machine alone.
PATIENCE = float(os.environ.get("ROSTRUM_BENCH_PATIENCE", "10"))


def process_table():
    """Name, parent and used seconds (with those of ended children) of every process."""
    table = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            head, tail = (entry / "stat").read_text().rsplit(") ", 1)
        except OSError:
            continue  # ended meanwhile
        fields = tail.split()
        table[int(entry.name)] = (head.split("(", 1)[1], int(fields[1]), sum(map(int, fields[11:15])) / TICK)
    return table


def family(table, root):
    """The process and everything below it."""
    found, wave = [root], [root]
    while wave:
        wave = [pid for pid, (_, parent, _) in table.items() if parent in wave]
        found += wave
    return found


def busy_seconds():
    """Processor seconds used by anybody since the start of the machine, with what the hypervisor took."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    user, nice, system, _idle, _wait, interrupts, soft, steal = fields
    return (user + nice + system + interrupts + soft + steal) / TICK


class Meter:
    """Processor time from `start` to `stop`: of named groups of processes, and of others."""

    def __init__(self, groups=None):
        # Name to a function that gives the root processes of a group.
        self.groups = groups or {}

    def start(self):
        self.began, self.busy = time.monotonic(), busy_seconds()
        self.own, self.used = self._read()
        return self

    def stop(self):
        busy, (own, used) = busy_seconds(), self._read()
        self.seconds = time.monotonic() - self.began
        self.cpu = {name: used[name] - self.used[name] for name in used}
        self.others = max(0.0, (busy - self.busy) - (own - self.own)) / self.seconds
        return self

    def _read(self):
        table = process_table()

        def sum_of(pids):
            return sum(table[pid][2] for pid in pids if pid in table)

        used = {}
        for name, (root, whole) in self.groups.items():
            used[name] = sum_of(family(table, root) if whole else [root])
        return sum_of(family(table, os.getpid())), used


def wait_for_quiet():
    """Returns when others hardly use the machine, or when patience is over."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        meter = Meter().start()
        time.sleep(1)
        if meter.stop().others <= QUIET / 2:
            return


def tries(rounds, lines):
    """Counts rounds until each of the lines has enough undisturbed ones, twice as many at most."""
    for number in range(2 * rounds):
        if number >= rounds and all(line.quiet_rounds >= rounds for line in lines()):
            return
        wait_for_quiet()
        yield number


class Database:
    """psql and pgbench beside the system under test."""

    def __init__(self, folder, user, database):
        self.place = ["-h", str(folder), "-U", user]
        self.database = database
        self.server = self._ask_folder()
        self.session = subprocess.Popen(
            ["psql", *self.place, "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def url(self):
        return f"host={self.place[1]} user={self.place[3]} dbname={self.database}"

    def _ask_folder(self):
        done = subprocess.run(
            ["psql", *self.place, "-d", self.database, "-qAtXc", "SHOW server_version_num"],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout) // 10_000

    def query(self, statement):
        """Rows as lists of texts, through one lasting session."""
        self.session.stdin.write(f"{statement};\n\\echo \x01\n")
        self.session.stdin.flush()
        rows = []
        while True:
            line = self.session.stdout.readline()
            if not line:
                raise RuntimeError(f"psql ended at: {statement}")
            if line == "\x01\n":
                return rows
            rows.append(line.rstrip("\n").split("|"))

    def number(self, statement):
        return float(self.query(statement)[0][0])

    def pgbench(self, script, clients=1, transactions=100, seconds=None, **variables):
        """Transactions a second."""
        length = ["-t", str(transactions)] if seconds is None else ["-T", str(seconds)]
        program = f"/usr/lib/postgresql/{self.server}/bin/pgbench"
        defines = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        done = subprocess.run(
            [program, *self.place, "-n", "-M", "prepared", "-c", str(clients), "-j", "1", *length]
            + [*defines, "-f", "/dev/stdin", self.database],
            input=script,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        line = next(l for l in done.stdout.splitlines() if l.startswith("tps = "))
        return float(line.split()[2])

    def commit_floor(self, seconds=None):
        """Milliseconds of one small durable commit at this moment."""
        self.query("CREATE TABLE IF NOT EXISTS bench_floor (id bigint GENERATED ALWAYS AS IDENTITY, text text)")
        rate = self.pgbench("INSERT INTO bench_floor (text) VALUES (repeat('x', 200));", transactions=300, seconds=seconds)
        self.query("TRUNCATE bench_floor")
        return 1_000 / rate

    def close(self):
        self.session.stdin.close()
        self.session.wait(10)


class Line:
    """One figure: rounds of it, beside rounds of a peer."""

    def __init__(self, name, unit, peer, digits=2):
        self.name, self.unit, self.peer, self.digits = name, unit, peer, digits
        self.rounds = []

    def add(self, value, peer=None, others=0.0, **more):
        self.rounds.append({"value": value, "peer": peer, "others": others, **more})

    @property
    def quiet_rounds(self):
        return sum(r["others"] <= QUIET for r in self.rounds)

    def show(self):
        quiet = [r for r in self.rounds if r["others"] <= QUIET]
        used = quiet or self.rounds
        if not used:
            return

        def median(key):
            values = [r[key] for r in used if r.get(key) is not None]
            return statistics.median(values) if values else None

        def rounded(value, digits=3):
            return None if value is None else round(value, digits)

        value, peer = median("value"), median("peer")
        line = {
            "name": self.name,
            "value": rounded(value, self.digits),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": rounded(peer, self.digits),
            "ratio": rounded(value / peer) if peer else None,
            "rounds": len(self.rounds),
            "used_rounds": len(used),
            "lowest": rounded(min(r["value"] for r in used), self.digits),
            "highest": rounded(max(r["value"] for r in used), self.digits),
            "others_cores": rounded(median("others"), 2),
        }
        for key in used[0]:
            if key not in ("value", "peer", "others"):
                line[key] = rounded(median(key))
        if not quiet:
            line["noisy"] = True
        print(json.dumps(line), flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def proportional_memory(pids):
    """PSS in MB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024
