"""Events as sentences."""

from __future__ import annotations

import pytest

from faas.cli.story import tell, waiting

REPLAY = "01993e5c-7a1b-7c3d-9e4f-5a6b7c8d9e0f"


def test_a_life_with_a_retry_is_told() -> None:
    events = [
        {"time": "2026-01-01T00:00:00.000Z", "type": "accepted", "revision": 3, "replay_of": REPLAY},
        {"time": "2026-01-01T00:00:00.001Z", "type": "admitted"},
        {"time": "2026-01-01T00:00:00.002Z", "type": "published"},
        {"time": "2026-01-01T00:00:00.003Z", "type": "claimed", "attempt": 1, "worker_id": "w1.abc"},
        {
            "time": "2026-01-01T00:00:00.500Z",
            "type": "retried",
            "attempt": 1,
            "outcome": "timed_out",
            "error_type": "Function.Timeout",
        },
        {"time": "2026-01-01T00:00:02.000Z", "type": "claimed", "attempt": 2, "worker_id": "w2.abc"},
        {"time": "2026-01-01T00:00:02.500Z", "type": "handed_back", "attempt": 2},
        {"time": "2026-01-01T00:00:03.000Z", "type": "cancel_requested"},
        {"time": "2026-01-01T00:00:04.000Z", "type": "something_new"},
        {
            "time": "2026-01-01T00:01:05.000Z",
            "type": "ended",
            "status": "succeeded",
            "error_type": None,
            "cold_start": True,
            "init_ms": 240,
            "duration_ms": 1500,
        },
    ]
    assert [(line.after, line.what) for line in tell(events)] == [
        ("+0 ms", f"accepted under revision 3, as a replay of {REPLAY}"),
        ("+1 ms", "given one of its function's slots"),
        ("+2 ms", "handed to the workers"),
        ("+3 ms", "attempt 1 begun by the worker w1"),
        ("+500 ms", "attempt 1 timed out with Function.Timeout; another was to follow"),
        ("+2.00 s", "attempt 2 begun by the worker w2"),
        ("+2.50 s", "attempt 2 given back unfinished by its worker; it does not count"),
        ("+3.00 s", "asked to stop"),
        ("+4.00 s", "something new"),
        ("+1m05s", "succeeded: it ran for 1.50 s, after 240 ms to load its code"),
    ]


@pytest.mark.parametrize(
    ("about", "said", "remedy"),
    [
        ({"reason": "concurrency", "limit": 2, "used": 2, "position": 1}, "all 2", "raise limits.max_concurrency"),
        ({"reason": "concurrency", "limit": 2, "used": 2, "position": 5}, "4 are before it", "raise"),
        ({"reason": "concurrency", "limit": 2, "used": 2, "position": None}, "many are before it", "raise"),
        ({"reason": "worker", "workers": 0}, "no worker is alive", "start a worker"),
        ({"reason": "worker", "workers": 3}, "one of 3 workers", "more workers"),
        ({"reason": "delayed", "until": "T"}, "its time has not come: T", None),
        ({"reason": "retry", "until": "T"}, "due at T", None),
        ({"reason": "building", "revision": 2}, "revision 2 is being built", None),
        ({"reason": "admission"}, "a slot of its function is free", "clock"),
        ({"reason": "deleted"}, "deleted", None),
        ({"reason": "a new one"}, "a new one", None),
    ],
)
def test_what_is_waited_for_is_told_with_its_remedy(about, said, remedy) -> None:
    told, advice = waiting(about)
    assert said in told
    assert (advice is None) if remedy is None else (remedy in advice)
