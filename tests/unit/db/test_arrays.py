"""Lists on their way into PostgreSQL, and rows on their way out."""

from __future__ import annotations

import pytest
from factories import function, worker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from faas.db import arrays, attempts, invocations
from faas.db.attempts import AttemptEnd
from faas.domain import ids
from faas.domain.invocation import Status

NASTY = [
    "",
    "NULL",
    "null",
    None,
    '"',
    "\\",
    '\\"',
    "{a,b}",
    ",",
    " a ",
    "é😀\u2028",
    "a\nb\t\r",
    "'",
    "E'\\x00'",
    "%s %(a)s",
    "\x01\x7f",
]


def back(database, literal: str, kind: str):
    with database.autocommit() as tx:
        return tx.one(f"SELECT %s::{kind}[] AS list", (literal,)).list


def test_texts_come_back_as_they_were(database):
    assert back(database, arrays.texts(NASTY), "text") == NASTY
    assert back(database, arrays.texts([]), "text") == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.none() | some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_texts_come_back_as_they_were(database, texts):
    assert back(database, arrays.texts(texts), "text") == texts


def test_bytes_and_plain_values_come_back_as_they_were(database):
    values = [b"", bytes(range(256)), None, b'"\\x']
    assert [one if one is None else bytes(one) for one in back(database, arrays.binary(values), "bytea")] == values
    assert back(database, arrays.plain([1, None, -5]), "integer") == [1, None, -5]
    assert back(database, arrays.plain([True, None, False]), "boolean") == [True, None, False]
    assert back(database, arrays.plain([0.1, 1e300, None, -0.5]), "double precision") == [0.1, 1e300, None, -0.5]
    known = [ids.uuid7(), None]
    assert back(database, arrays.plain(known), "text") == known


def test_what_functions_say_is_written_as_they_said_it(database):
    mine, by = function(database, max_concurrency=50), worker(database)
    taken = [invocations.accept(database, invocations.Submission(ids.uuid7(), mine.id, "null", {})) for _ in NASTY]
    known = [one.invocation_id for one in taken]
    attempts.claim_many(database, known, by)
    ends = [
        AttemptEnd(mine.id, one, 1, Status.FAILED, error=text, error_type=text, logs=(text or "").encode())
        for one, text in zip(known, NASTY, strict=True)
    ]
    assert all(one.applied for one in attempts.finish(database, ends)[0])
    with database.autocommit() as tx:
        rows = {str(row.id): row for row in tx.rows("SELECT id, error, logs FROM invocations")}
    for one, text in zip(known, NASTY, strict=True):
        assert (rows[one].error, bytes(rows[one].logs)) == (text, (text or "").encode())


@pytest.mark.parametrize("again", range(2))
def test_a_row_has_its_columns_by_name_and_by_number(database, again):
    with database.autocommit() as tx:
        row = tx.one("SELECT 1 AS one, 'b' AS count, 3")
        assert (row.one, row.count, row[2], len(row)) == (1, "b", 3, 3)
        assert tx.one("SELECT 1 AS one WHERE false") is None
        assert [row.n for row in tx.rows("SELECT generate_series(1, %s) AS n", (3,))] == [1, 2, 3]
        assert tx.rows("SELECT 1 AS n WHERE false") == []
