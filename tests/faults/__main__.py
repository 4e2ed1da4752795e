"""`make soak`: rounds of faults, each from a new seed, until the time is over or something is wrong."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from faults.platform import Platform
from faults.rounds import play
from faults.running import running


def main() -> int:
    """Run rounds. The status is 1 when one found something wrong; then the logs are kept."""
    options = _options()
    first = os.environ.get("FAULT_SEED")
    root = Path(tempfile.mkdtemp(prefix="faas-soak-"))
    with running(root, options.engine) as platform:
        good = _rounds(platform, options, int(first) if first else None)
    if good:
        shutil.rmtree(root, ignore_errors=True)
    else:
        print(f"The logs are in {root / 'logs'}.")
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="no round begins later (default: 10)")
    parser.add_argument("--engine", choices=("simple", "container"), default="simple")
    parser.add_argument(
        "--seconds", type=float, default=25.0, help="how long each round begins faults for (default: 25)"
    )
    return parser.parse_args()


def _rounds(platform: Platform, options: argparse.Namespace, seed: int | None) -> bool:
    deadline = time.monotonic() + options.minutes * 60
    while True:
        seed = random.SystemRandom().randrange(10**6) if seed is None else seed
        print(f"FAULT_SEED={seed}", flush=True)
        summary = play(platform, seed, options.seconds)
        print(summary, flush=True)
        if not summary.good or time.monotonic() > deadline:
            return summary.good
        platform.tidy()
        seed = None


if __name__ == "__main__":
    sys.exit(main())
