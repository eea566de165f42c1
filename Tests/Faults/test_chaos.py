"""Chaos in its short form; with ROSTRUM_LONG=1 (`make soak`) half an hour of it with 20,000 deliveries."""

import os
import random

from chaos import Chaos, is_good

LONG = os.environ.get("ROSTRUM_LONG") == "1"


def test_nothing_goes_out_twice_whatever_breaks():
    seed = int(os.environ.get("ROSTRUM_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    size = {"hosts": 3, "deliveries": 20_000, "seconds": 1800} if LONG else {
        "hosts": 2, "deliveries": 200, "seconds": 30, "accounts": 20, "pause": 2,
    }
    chaos = Chaos(seed, long=LONG, **size)
    try:
        verdict = chaos.run()
        print(verdict)
        assert is_good(verdict), (verdict, chaos.stories())
    finally:
        chaos.close()
