"""`/stats`."""

from __future__ import annotations

import pytest


def test_counts_times_and_a_series_of_each_function(client, create):
    create(name="one")
    create(name="slow")
    for name in ("one", "one", "slow"):
        client.post("/invoke", json={"function_id": name})
    shown = client.get("/stats").json
    assert (shown["window"], shown["step_s"], shown["more"]) == ("1h", 60, False)
    assert shown["since"] < shown["until"]
    one, slow = sorted(shown["items"], key=lambda item: item["function_name"])
    assert (one["ended"], one["succeeded"], one["failed"], one["queued"]) == (2, 2, 0, 0)
    assert one["duration_ms"] == {"mean": 0.0, "p50": 0.5, "p95": 0.9, "p99": 1.0}
    assert len(one["series"]) == 60
    assert sum(one["series"]) == 2
    assert one["init_ms"] is None
    assert (slow["ended"], slow["queued"]) == (0, 1)
    assert slow["queue_ms"] == {"mean": None, "p50": None, "p95": None, "p99": None}


def test_one_function_and_a_window(client, create):
    create(name="one")
    create(name="two")
    shown = client.get("/stats?function_id=two&window=24h&limit=1").json
    assert [item["function_name"] for item in shown["items"]] == ["two"]
    assert (shown["window"], shown["step_s"]) == ("24h", 900)
    assert client.get("/stats?function_id=nobody").json["items"] == []
    assert client.get("/stats?limit=1").json["more"] is True


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("window=2h", "window"),
        ("limit=0", "limit"),
        ("window=1h&window=1m", "window"),
        ("function_id=%00", "function_id"),
    ],
)
def test_what_is_not_understood_is_refused(client, is_problem, query, field):
    is_problem(client.get(f"/stats?{query}"), 422, field)
