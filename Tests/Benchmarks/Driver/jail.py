"""What the jail costs: calls and starts of a plugin with and without it, in turns.

Run by itself: `ROSTRUM_BIN=.build/release python3 Tests/Benchmarks/Driver/jail.py`. Prints one JSON object a line and
ends with 1 if a goal is missed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CALLS = 10_000
STARTS = 200


def main():
    binaries = Path(os.environ.get("ROSTRUM_BIN", ROOT / ".build/release")).resolve()
    words = [
        *("--launcher", binaries / "rostrum-jail", "--manifest", ROOT / "plugin-manifests/x.json"),
        *("--executable", binaries / "plugin-x", "--calls", CALLS, "--starts", STARTS),
    ]
    done = subprocess.run(
        [str(binaries / "rostrum-bench"), "jail", *map(str, words)], stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    ratio = found["jailedCall"] / found["plainCall"]
    lines = [
        {
            "bench": "jailed_round_trip_p50",
            "unit": "us",
            "value": round(found["jailedCall"], 1),
            "peer": "the same plugin without a jail",
            "peer_value": round(found["plainCall"], 1),
            "ratio": round(ratio, 3),
            "goal": 1.05,
            "tier": found["tier"],
        },
        {
            "bench": "jailed_start_p95",
            "unit": "ms",
            "value": round(found["jailedStart95"], 1),
            "p50": round(found["jailedStart50"], 1),
            "peer": "the same plugin without a jail",
            "peer_value": round(found["plainStart95"], 1),
            "goal": 50,
            "tier": found["tier"],
        },
    ]
    for line in lines:
        print(json.dumps(line), flush=True)
    return 0 if ratio <= 1.05 and found["jailedStart95"] <= 50 else 1


if __name__ == "__main__":
    sys.exit(main())
