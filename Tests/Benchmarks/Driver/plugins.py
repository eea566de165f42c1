"""The lines about plugins in their jail and about the gate between them and the network."""

import json
import subprocess
import time
from pathlib import Path

from machine import Line, Meter, family, process_table, proportional_memory, tries
from sink import Sink

ROOT = Path(__file__).resolve().parents[3]
RUNNING = 12
IDLE = 20
IDLE_SECONDS = 30
UPLOAD = 1 << 30


class Plugins:
    def __init__(self, binaries):
        self.binaries = binaries
        self.sink = None
        self.words = [
            *("--manifest", str(ROOT / "plugin-manifests/x.json")),
            *("--executable", str(binaries / "plugin-x")),
            *("--launcher", str(binaries / "rostrum-jail")),
        ]

    def start(self):
        self.sink = Sink()

    def close(self):
        if self.sink:
            self.sink.listener.close()

    def tool(self, *words):
        done = subprocess.run([str(self.binaries / "rostrum-bench"), *words], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    # Lines

    def jail(self, rounds):
        trip = Line("jailed_round_trip_p50", "us", "the same plugin without a jail", digits=1)
        start = Line("jailed_start_p95", "ms", "the same plugin without a jail", digits=1)
        for _ in tries(rounds, lambda: [trip, start]):
            meter = Meter().start()
            own = self.tool("jail", *self.words, "--calls", "10000", "--starts", "100")
            meter.stop()
            trip.add(own["jailedCall"], own["plainCall"], meter.others)
            start.add(own["jailedStart95"], own["plainStart95"], meter.others, p50=own["jailedStart50"])
        trip.show()
        start.show()

    def gate(self, rounds):
        line = Line("gate_p50", "us", "the host's client alone", digits=1)
        for _ in tries(rounds, lambda: [line]):
            meter = Meter().start()
            own = self.tool("gate", "--url", self.sink.url, "--requests", "4000")
            meter.stop()
            line.add(own["gate"], own["direct"], meter.others, overhead=own["overhead"])
        line.show()

    def upload(self, rounds):
        line = Line("upload_growth", "MB", "the aim", 1)
        before = self.sink.received
        own = self.tool("upload", "--url", self.sink.url, "--bytes", str(UPLOAD))
        assert self.sink.received - before > UPLOAD, "the upload did not arrive whole"
        line.add(own["growth"], 32, seconds=own["seconds"])
        line.show()

    def fleet(self, rounds):
        """Plugins that have answered and now wait, with their launchers and with what watches them."""
        memory = Line("memory_of_12_plugins", "MB", "the aim, with the host", 1)
        memory.add(self.held(RUNNING, lambda pids, root: proportional_memory(p for p in pids if p != root)), 150)
        memory.show()
        idle = Line("idle_cpu_of_20_plugins", "%", "the aim", 3)
        idle.add(self.held(IDLE, self.idle_share), 0.2)
        idle.show()

    def held(self, count, measure):
        words = [str(self.binaries / "rostrum-bench"), "fleet", *self.words, "--count", str(count)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                if not process.stdout.readline():
                    raise RuntimeError("the plugins did not start")
                time.sleep(3)
                return measure(family(process_table(), process.pid), process.pid)
            finally:
                process.stdin.close()

    @staticmethod
    def idle_share(_, root):
        """Percent of one core."""
        meter = Meter({"all": (root, True)}).start()
        time.sleep(IDLE_SECONDS)
        meter.stop()
        return 100 * meter.cpu["all"] / meter.seconds
