"""Old invocations go, whole months and single ones; what lives stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from factories import function, invocation, run_sql

from faas.db import partitions, retention
from faas.db.database import Database
from faas.reconciler import retention as duty
from faas.reconciler.retention import Retention


@pytest.fixture
def own(fresh_database_url):
    """A database of the test's own: partitions are made and dropped."""
    opened = Database(fresh_database_url, connections=4)
    yield opened
    opened.close()


def aged(database, made, when, status="succeeded"):
    """The id of an invocation that was accepted then."""
    fresh = invocation(database, made.id).id
    old = partitions.least_id(when)[:13] + fresh[13:]
    run_sql(
        database, "UPDATE invocations SET id = %s, status = %s, created_at = %s WHERE id = %s", old, status, when, fresh
    )
    run_sql(database, "INSERT INTO attempts (invocation_id, number, status) VALUES (%s, 1, 'failed')", old)
    return old


def left(database, table="invocations", column="id"):
    with database.autocommit() as tx:
        return {str(row[0]) for row in tx.rows(f"SELECT {column} FROM {table}")}


def days_ago(days):
    return datetime.now(UTC) - timedelta(days=days)


def test_what_ended_long_ago_goes_with_its_attempts(database, monkeypatch):
    monkeypatch.setattr(duty, "_PORTION", 2)
    monkeypatch.setattr(duty, "_TURN_SECONDS", 60.0)
    made = function(database)
    for status in ("succeeded", "failed", "timed_out", "cancelled", "failed"):
        aged(database, made, days_ago(31), status)
    kept = {aged(database, made, days_ago(31), status) for status in ("queued", "running")}
    kept.add(aged(database, made, days_ago(29)))
    Retention(database, 0).turn()
    assert len(left(database)) == 8
    Retention(database, 30).turn()
    assert left(database) == kept
    assert left(database, "attempts", "invocation_id") == kept


def test_a_turn_is_short(database, monkeypatch):
    monkeypatch.setattr(duty, "_TURN_SECONDS", 0.0)
    made = function(database)
    aged(database, made, days_ago(31))
    Retention(database, 30).turn()
    assert len(left(database)) == 1


def test_a_month_that_is_over_goes_as_a_whole(own):
    old = datetime(2025, 3, 15, 12, tzinfo=UTC)
    assert partitions.ensure_months(own, old, 1) == ["invocations_2025_03", "invocations_2025_04"]
    made = function(own)
    aged(own, made, old)
    living = aged(own, made, datetime(2025, 4, 20, tzinfo=UTC), "queued")
    end_of_march = datetime(2025, 4, 1, tzinfo=UTC)
    assert retention.old_months(own, end_of_march - timedelta(seconds=1)) == []
    assert retention.old_months(own, end_of_march) == ["invocations_2025_03"]
    Retention(own, 30).turn()
    assert left(own) == left(own, "attempts", "invocation_id") == {living}
    assert retention.old_months(own, datetime.now(UTC)) == []
    with own.autocommit() as tx:
        assert tx.one("SELECT to_regclass('invocations_2025_03')") == (None,)
        assert tx.one("SELECT to_regclass('invocations_2025_04')") != (None,)
    # Somebody began to live in it after it was looked at.
    assert not retention.drop_month(own, "invocations_2025_04")
    assert not retention.drop_month(own, "invocations_2025_03")
    run_sql(own, "UPDATE invocations SET status = 'cancelled'")
    assert retention.drop_month(own, "invocations_2025_04")


def test_a_lock_that_can_not_be_had_is_left_for_another_turn(own, fresh_database_url):
    partitions.ensure_months(own, datetime(2025, 3, 15, tzinfo=UTC), 0)
    reader = psycopg2.connect(fresh_database_url)
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM invocations")
        assert not retention.drop_month(own, "invocations_2025_03")
        reader.rollback()
        assert retention.drop_month(own, "invocations_2025_03")
    finally:
        reader.close()
