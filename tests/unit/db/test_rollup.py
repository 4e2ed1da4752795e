"""Adding up what has ended, and reading it."""

from __future__ import annotations

import threading

import pytest
from factories import claimed, eventually, function, invocation, run_sql, succeeded

from faas.db import rollup, stats
from faas.db.database import Database
from faas.domain import outcome as outcomes
from faas.domain.ids import uuid7
from faas.domain.namespace import DEFAULT
from faas.domain.stats import Window, quantile
from faas.results.endings import Endings

NAMED = 10


def ended(database, function_id, status="succeeded", ago_s=0, **columns):
    """An invocation that has ended just now, or a while ago."""
    made = invocation(database, function_id)
    values = {"status": status, **columns}
    changes = ", ".join(f"{name} = %s" for name in values)
    run_sql(
        database,
        f"UPDATE invocations SET {changes}, finished_at = clock_timestamp() - %s * interval '1 second' WHERE id = %s",
        *values.values(),
        ago_s,
        made.id,
    )
    return made.id


def roll(database, named=NAMED):
    """All that there is, as soon as it can be counted."""
    last = "SELECT count(*) AS n FROM invocations, platform WHERE finished_at > coalesce(stats_until, '-infinity')"

    def done():
        while rollup.roll(database, named):
            pass
        with database.autocommit() as tx:
            return tx.one(last).n == 0

    eventually(done)


def read(database, window=Window.HOUR, **about):
    return stats.read(database, DEFAULT, window, **{"limit": 100, **about})


def tallies(database, window=Window.HOUR):
    return {one.function_name: one.tally for one in read(database, window).functions}


def test_nothing_has_ended(database):
    function(database)
    assert read(database).functions == ()
    assert rollup.roll(database, NAMED) is False
    assert read(database).functions == ()


def test_counts_by_status_and_times_by_function(database):
    one, two = function(database, name="one").id, function(database, name="two").id
    for _ in range(3):
        ended(database, one, queue_ms=5, duration_ms=100, init_ms=40, cold_start=True)
    ended(database, one, "failed", queue_ms=5, duration_ms=100, cold_start=False, error='{"type": "ValueError"}')
    ended(database, one, "failed", queue_ms=5, error='{"type": "Platform.WorkerLost"}')
    ended(database, one, "timed_out", queue_ms=5, duration_ms=30_000)
    ended(database, two, "cancelled")
    roll(database)
    found = tallies(database)
    assert set(found) == {"one", "two"}
    tally = found["one"]
    assert (tally.succeeded, tally.failed, tally.timed_out, tally.cancelled, tally.platform_failures) == (3, 2, 1, 0, 1)
    assert (tally.cold_starts, tally.init_ms, tally.run_ms, tally.wait_ms) == (3, 120, 30_400, 30)
    assert (sum(tally.runs), sum(tally.waits), tally.admissions) == (5, 6, 6)
    assert 91 < quantile(tally.runs, 0.5) <= 128
    assert 4 < quantile(tally.waits, 0.99) <= 6
    assert (found["two"].count, sum(found["two"].runs)) == (1, 0)


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3, 16, 17, 1_048_576, 2**31 - 1])
def test_a_time_is_counted_in_its_bucket(database, milliseconds):
    ended(database, function(database, name="one").id, queue_ms=milliseconds, duration_ms=milliseconds)
    roll(database)
    tally = tallies(database)["one"]
    found = stats.BOUNDS_MS[tally.runs.index(1)]
    assert found == min(bound for bound in stats.BOUNDS_MS if milliseconds <= bound)
    assert tally.waits == tally.runs


def test_the_wait_for_a_place_is_counted(database):
    made = function(database, name="one").id
    one = ended(database, made)
    run_sql(database, "UPDATE invocations SET admitted_at = due_at + interval '2 seconds' WHERE id = %s", one)
    run_sql(
        database,
        "UPDATE invocations SET due_at = 'infinity', admitted_at = NULL WHERE id = %s",
        ended(database, made, "failed"),
    )
    roll(database)
    tally = tallies(database)["one"]
    assert (tally.admissions, tally.count) == (1, 2)
    assert 1990 <= tally.admission_ms <= 2010


def test_windows_hold_what_ended_in_them(database):
    made = function(database, name="one").id
    for ago_s in (1, 90, 1000, 10_000, 200_000):
        ended(database, made, ago_s=ago_s)
    roll(database)
    assert {window: tallies(database, window)["one"].count for window in Window} == {
        "1m": 1,
        "5m": 2,
        "1h": 3,
        "24h": 4,
    }
    for window in Window:
        series = read(database, window).functions[0].series
        assert len(series) == window.length.total_seconds() / window.step_s
        assert sum(series) == tallies(database, window)["one"].count


def test_each_is_counted_once_however_many_count_and_however_often(database, database_url):
    made = function(database, name="one").id
    others = [Database(database_url, connections=1) for _ in range(3)]
    stop = threading.Event()

    def count(own):
        while not stop.is_set():
            rollup.roll(own, NAMED)

    threads = [threading.Thread(target=count, args=(own,)) for own in others]
    for thread in threads:
        thread.start()
    try:
        for n in range(60):
            ended(database, made, ago_s=0 if n % 2 else 0.02)
        eventually(lambda: (found := tallies(database)) and found["one"].count >= 30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for own in others:
            own.close()
    roll(database)
    with database.autocommit() as tx:
        late = tx.one("SELECT sum(succeeded) AS n FROM function_totals").n
    assert tallies(database)["one"].count == late <= 60


def test_an_end_that_is_not_committed_yet_is_waited_for(database):
    made = function(database, name="one").id
    open_ = claimed(database, made)
    with database.begin() as tx:
        tx.run(
            "UPDATE invocations SET status = 'succeeded', finished_at = clock_timestamp() WHERE id = %s",
            (open_.invocation_id,),
        )
        for _ in range(3):
            ended(database, made, ago_s=0)
        while rollup.roll(database, NAMED):
            pass
        before = read(database).until
    roll(database)
    assert tallies(database)["one"].count == 4
    assert read(database).until > before


def test_what_the_platform_itself_ends_is_counted(database, publisher):
    made = function(database, name="one")
    endings = Endings(database, publisher, platform_retries=0)
    endings.end(claimed(database, made.id), succeeded(1))
    endings.end(claimed(database, made.id), outcomes.failed("ValueError", "no"))
    lost = claimed(database, made.id)
    endings.lose(made.id, lost.invocation_id, lost.attempt, 5)
    roll(database)
    tally = tallies(database)["one"]
    assert (tally.succeeded, tally.failed, tally.platform_failures, sum(tally.waits)) == (1, 2, 1, 3)


def test_a_clock_that_was_stepped_back_stops_nothing_for_long(database):
    made = function(database, name="one").id
    run_sql(database, "UPDATE platform SET stats_until = clock_timestamp() + interval '1 day'")
    rollup.roll(database, NAMED)
    ended(database, made, ago_s=-0.2)
    roll(database)
    assert tallies(database)["one"].count == 1


def test_old_ends_are_added_up_in_portions(database):
    made = function(database, name="one").id
    for ago_s in (50_000, 40_000, 30, 20):
        ended(database, made, ago_s=ago_s)
    for counted in (2, 4):
        assert rollup.roll(database, NAMED, most=2)
        assert tallies(database, Window.DAY)["one"].count == counted
    assert not rollup.roll(database, NAMED, most=2)


def test_what_ended_in_one_moment_is_one_portion(database):
    made = function(database, name="one").id
    for _ in range(3):
        ended(database, made, ago_s=30)
    run_sql(database, "UPDATE invocations SET finished_at = (SELECT min(finished_at) FROM invocations)")
    assert rollup.roll(database, NAMED, most=2)
    assert tallies(database)["one"].count == 3


def test_the_busiest_come_first_of_the_namespace_that_is_asked_for(database):
    for name, times in (("a", 1), ("b", 3), ("c", 2)):
        made = function(database, name=name).id
        for _ in range(times):
            ended(database, made)
    elsewhere = function(database, name="elsewhere").id
    ended(database, elsewhere)
    run_sql(database, "UPDATE functions SET namespace = 'team' WHERE id = %s", elsewhere)
    roll(database)
    gone = function(database, name="gone").id
    ended(database, gone)
    run_sql(database, "UPDATE functions SET deleted_at = now() WHERE id = %s", gone)
    roll(database)
    first = read(database, limit=2)
    assert [one.function_name for one in first.functions] == ["b", "c"]
    assert first.more
    every = read(database, limit=3)
    assert [one.function_name for one in every.functions] == ["b", "c", "a"]
    assert not every.more
    only = read(database, function_id=every.functions[2].function_id)
    assert [one.function_name for one in only.functions] == ["a"]
    assert read(database, function_id=uuid7()).functions == ()
    assert [one.function_name for one in stats.read(database, "team", Window.HOUR, limit=9).functions] == ["elsewhere"]


def test_totals_are_of_few_functions_and_never_fall(database):
    made = [function(database, name=f"f{n}").id for n in range(5)]
    for round_ in range(2):
        for id_ in made:
            ended(database, id_)
        roll(database, named=2)
        found = {one.name: one.tally.succeeded for one in stats.totals(database).functions}
        assert len(found) == 3
        assert found.pop(None) == 3 * (round_ + 1)
        assert set(found.values()) == {round_ + 1}
    assert stats.totals(database).lag_s < 60


def test_a_deleted_or_idle_function_gives_its_place_to_another(database):
    made = [function(database, name=f"f{n}").id for n in range(3)]
    for id_ in made:
        ended(database, id_)
    roll(database, named=2)
    named = {one.name for one in stats.totals(database).functions} - {None}
    assert rollup.forget(database) == 0
    gone, idle = sorted(named)
    run_sql(database, "UPDATE functions SET deleted_at = now() WHERE name = %s", gone)
    assert {one.name for one in stats.totals(database).functions} == {None, idle}
    run_sql(database, "UPDATE function_totals SET at = at - interval '10 minutes'")
    assert rollup.forget(database) == 1
    run_sql(database, "UPDATE function_totals SET at = at - interval '2 days'")
    assert rollup.forget(database) == 1
    for id_ in made:
        ended(database, id_)
    roll(database, named=2)
    assert len({one.name for one in stats.totals(database).functions} - {None}) == 2


def test_old_parts_are_forgotten(database):
    ended(database, function(database, name="one").id, ago_s=5000)
    roll(database)
    assert rollup.forget(database) == 1
    assert tallies(database, Window.DAY)["one"].count == 1
    run_sql(database, "UPDATE function_stats SET at = at - interval '27 hours'")
    assert rollup.forget(database) == 2
    assert tallies(database, Window.DAY) == {}
