"""`make bench`: what the platform costs against bare Celery, `docker run` and fork and exec (docs/performance.md)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from bench import interrupts, report
from bench.catalogue import BY_ID, ROWS
from bench.effort import FULL, SHORT
from bench.measures import MEASURES, Measure
from bench.result import Result
from bench.session import Session
from faas.errors import PlatformError
from faas.sandbox import container

_RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Measure, show, write; the exit status is 1 where a measure could not be taken."""
    arguments = _arguments()
    reason = container.available()
    if reason is not None:
        say(f"needs the container engine: {' '.join(reason.split())}")
        return 1
    logging.getLogger("faas.embedded").addHandler(logging.NullHandler())
    interrupts.listen()
    try:
        results, failed, versions = _take(arguments, os.environ)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except PlatformError as error:
        say(" ".join(str(error).split()))
        return 1
    document = {
        "machine": report.machine(),
        "versions": versions,
        "measures": [result.as_json() for result in results],
    }
    report.write(arguments.output, document)
    report.show(results)
    say(f"written to {arguments.output}")
    return 1 if failed else 0


def _take(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[list[Result], list[str], dict[str, str]]:
    """The results in the table's order, the rows of measures that failed, and the servers' versions."""
    effort = SHORT if arguments.short else FULL
    wanted = [one for one in MEASURES if not arguments.only or set(one.rows) & set(arguments.only)]
    results: list[Result] = []
    failed: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="faas-bench-") as folder,
        Session(Path(folder), effort, environ, say) as session,
    ):
        for measure in wanted:
            try:
                results += _timed(measure, session)
            except Exception as error:
                failed += measure.rows
                say(f"{', '.join(measure.rows)}: not measured: {error}")
                if arguments.verbose:
                    traceback.print_exc()
        versions = report.versions(session.server_versions())
    order = {row.id: number for number, row in enumerate(ROWS)}
    return sorted(results, key=lambda one: order[one.id]), failed, versions


def _timed(measure: Measure, session: Session) -> list[Result]:
    say(f"measuring {', '.join(measure.rows)}")
    start = time.monotonic()
    results = measure.take(session)
    say(f"  took {time.monotonic() - start:.0f} s")
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"measure these alone: {', '.join(BY_ID)}")
    parser.add_argument(
        "--short", action="store_true", help="few and small rounds: shows that all works, its figures mean little"
    )
    parser.add_argument("--output", type=Path, help="the results file (bench/results/latest.json for a whole run)")
    parser.add_argument("--verbose", action="store_true", help="show where a measure failed")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(BY_ID)
    if unknown:
        parser.error(f"there is no measure {', '.join(sorted(unknown))}; there are {', '.join(BY_ID)}")
    if arguments.output is None:
        # A partial run is no record of the whole.
        name = "-".join(arguments.only) or ("short" if arguments.short else "latest")
        arguments.output = _RESULTS / f"{name}.json"
    return arguments


def say(line: str) -> None:
    """One line on standard error."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
