"""Statistics of functions: what has ended, and what is in hand now."""

from __future__ import annotations

from factories import claimed, eventually, function, invocation, run_sql

from faas.db import rollup
from faas.domain.ids import uuid7
from faas.domain.stats import Window


def ended(database, function_id):
    one = claimed(database, function_id)
    run_sql(
        database,
        "UPDATE invocations SET status = 'succeeded', finished_at = clock_timestamp() WHERE id = %s",
        one.invocation_id,
    )


def read(services, **about):
    return services.stats.read(Window.HOUR, **about)


def test_who_has_ended_nothing_and_has_something_queued_is_not_missing(services, database):
    busy, stuck = function(database, name="busy").id, function(database, name="stuck", max_concurrency=1).id
    function(database, name="idle")
    ended(database, busy)
    claimed(database, busy)
    for _ in range(2):
        invocation(database, stuck)
    old = "UPDATE invocations SET due_at = now() - interval '1 hour' WHERE function_id = %s AND admitted_at IS NOT NULL"
    run_sql(database, old, stuck)

    def both():
        rollup.roll(database, 10)
        found = {line.ended.function_name: line for line in read(services).lines}
        return found if len(found) == 2 and found["busy"].ended.tally.count and found["stuck"].oldest_s > 3000 else None

    found = eventually(both)
    assert (found["busy"].queued, found["busy"].running) == (0, 1)
    assert (found["stuck"].queued, found["stuck"].running, found["stuck"].ended.tally.count) == (2, 0, 0)
    assert len(found["stuck"].ended.series) == 60


def test_one_function_by_id_or_name_and_none_that_is_not_there(services, database):
    for name in ("one", "two"):
        made = function(database, name=name).id
        invocation(database, made)
    eventually(lambda: len(read(services).lines) == 2)
    for ref in (made, "two"):
        assert [line.ended.function_name for line in read(services, function=ref).lines] == ["two"]
    for ref in ("nobody", uuid7()):
        report = read(services, function=ref)
        assert (report.lines, report.more) == ((), False)
    assert read(services, function="two", namespace="team").lines == ()
    assert read(services, namespace="team").lines == ()
    first = read(services, limit=1)
    assert (len(first.lines), first.more) == (1, True)
