"""Measures Rostrum and prints one JSON object a line; see docs/guides/benchmarks.md."""

import os
import sys
from pathlib import Path

from parts import Parts
from plugins import Plugins

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("pipeline", "latency", "insert", "fairness", "groups", "future", "notify", "vault", "plugin")
# They take minutes or hours, so they run only when they are named.
LONG = ("pinned", "bloat")
PLUGINS = ("jail", "gate", "upload", "fleet")
WHOLE = ("deliveries", "overhead", "dispatch", "memory", "start")


def main():
    names = sys.argv[1:] or [*PARTS, *PLUGINS, *WHOLE]
    known = PARTS + LONG + PLUGINS + WHOLE
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"bench: no line is called {', '.join(unknown)}; there are {', '.join(known)}")
    rounds = int(os.environ.get("ROSTRUM_BENCH_ROUNDS", "3"))
    binaries = Path(os.environ.get("ROSTRUM_BIN", ROOT / ".build/release"))
    os.environ["ROSTRUM_BIN"] = str(binaries)
    for group, lines in ((Parts, PARTS + LONG), (Plugins, PLUGINS)):
        chosen = [name for name in lines if name in names]
        if not chosen:
            continue
        made = group(binaries)
        try:
            made.start()
            for name in chosen:
                getattr(made, name)(rounds)
        finally:
            made.close()
    if any(name in WHOLE for name in names):
        from whole import Whole

        whole = Whole(binaries)
        try:
            whole.start()
            whole.run([name for name in WHOLE if name in names], rounds)
        finally:
            whole.close()


if __name__ == "__main__":
    main()
