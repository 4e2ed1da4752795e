"""Statements that are prepared once for each connection."""

from __future__ import annotations

import pytest
from factories import accept, claimed, function, run_sql

from faas.db.database import Database
from faas.db.prepared import Prepared
from faas.errors import DatabaseDown


@pytest.fixture
def one(fresh_database_url):
    """A way to a database of the test's own, over one connection."""
    opened = Database(fresh_database_url, connections=1)
    yield opened
    opened.close()


def of_connection(database: Database) -> list[str]:
    with database.autocommit() as tx:
        return [row.name for row in tx.rows("SELECT name FROM pg_prepared_statements ORDER BY name")]


def test_a_connection_learns_a_statement_once(one):
    mine = function(one, max_concurrency=9)
    for _ in range(3):
        claimed(one, mine.id)
    assert of_connection(one) == ["faas_accept", "faas_claim"]
    with one.autocommit() as tx:
        used = tx.rows("SELECT generic_plans + custom_plans AS n FROM pg_prepared_statements")
    assert [row.n for row in used] == [3, 3]


def test_a_connection_that_forgot_all_learns_it_again(one):
    mine = function(one)
    accept(one, mine.id)
    run_sql(one, "DISCARD ALL")
    assert accept(one, mine.id).verdict == "accepted"
    assert of_connection(one) == ["faas_accept"]


def test_a_statement_whose_columns_a_migration_has_changed_is_learned_again(one):
    asked = Prepared("asked", "integer", "SELECT one + %s AS sum FROM changing")
    run_sql(one, "CREATE TABLE changing AS SELECT 1 AS one")
    with one.autocommit() as tx:
        assert tx.one(asked, (1,)).sum == 2
    run_sql(one, "ALTER TABLE changing ALTER COLUMN one TYPE double precision")
    for _ in range(2):
        with one.autocommit() as tx:
            assert tx.one(asked, (2,)).sum == 3.0


def test_a_function_that_is_replaced_meanwhile_is_called_as_it_is_now(one):
    asked = Prepared("asked", "integer", "SELECT f.number FROM answer(%s) f")
    for body, number in (("SELECT n", 1), ("SELECT n + 1", 2)):
        run_sql(one, "DROP FUNCTION IF EXISTS answer")
        run_sql(one, f"CREATE FUNCTION answer(n integer, OUT number integer) LANGUAGE sql AS '{body}'")
        with one.autocommit() as tx:
            assert tx.one(asked, (1,)).number == number
    run_sql(one, "DROP FUNCTION answer")
    with pytest.raises(DatabaseDown, match="migrations"), one.autocommit() as tx:
        tx.one(asked, (1,))


def test_a_statement_that_fails_for_another_reason_fails(one):
    asked = Prepared("asked", "integer", "SELECT 1 / %s AS it")
    for _ in range(2):
        with pytest.raises(Exception, match="division by zero"), one.autocommit() as tx:
            tx.one(asked, (0,))
    with one.autocommit() as tx:
        assert tx.one(asked, (1,)).it == 1
