"""A warm call with one client, against a bare Celery task with one client: `POST /invoke` that waits, `send_task` and a blocking `get`."""

from __future__ import annotations

import time

from bench.bare import ECHO as BARE_ECHO
from bench.measures.timing import times_ms
from bench.result import Pair, Result, compared, percentile
from bench.session import Session
from bench.stack import ECHO, call_body, invoke

_PAYLOAD = {"n": 1}
_SECONDS = 60


def measure(session: Session) -> list[Result]:
    """Both rows, from the same calls."""
    effort, stack, bare = session.effort, session.stack, session.bare

    def theirs() -> None:
        bare.send_task(BARE_ECHO, [_PAYLOAD]).get(timeout=_SECONDS)

    medians: list[Pair] = []
    tails: list[Pair] = []
    with stack.connect() as connection:
        body = call_body(stack.deploy(connection, ECHO), _PAYLOAD)

        def ours() -> None:
            invoke(connection, body)

        ours()
        # The worker makes a new stem cell meanwhile.
        time.sleep(effort.settle * 2)
        for call in (ours, theirs):
            times_ms(call, effort.warm_calls // 3)
        for _ in effort.each_round():
            reference, platform = times_ms(theirs, effort.warm_calls), times_ms(ours, effort.warm_calls)
            medians.append((percentile(platform, 50), percentile(reference, 50)))
            tails.append((percentile(platform, 99), percentile(reference, 99)))
    return [compared("warm-p50", medians), compared("warm-p99", tails)]
