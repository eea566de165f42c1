"""Measures Rostrum and prints one JSON object a line; see docs/guides/benchmarks.md."""

import os
import sys
from pathlib import Path

from parts import Parts

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("pipeline", "latency", "plugin")
WHOLE = ("deliveries", "overhead", "dispatch", "memory", "start")


def main():
    names = sys.argv[1:] or [*PARTS, *WHOLE]
    unknown = [name for name in names if name not in PARTS + WHOLE]
    if unknown:
        sys.exit(f"bench: no line is called {', '.join(unknown)}; there are {', '.join(PARTS + WHOLE)}")
    rounds = int(os.environ.get("ROSTRUM_BENCH_ROUNDS", "3"))
    binaries = Path(os.environ.get("ROSTRUM_BIN", ROOT / ".build/release"))
    os.environ["ROSTRUM_BIN"] = str(binaries)
    if any(name in PARTS for name in names):
        parts = Parts(binaries)
        try:
            parts.start()
            for name in PARTS:
                if name in names:
                    getattr(parts, name)(rounds)
        finally:
            parts.close()
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
