"""Makers of the values and rows that tests need, each with defaults that are right."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg2

from faas.db import attempts, functions, invocations, workers
from faas.db.database import Database
from faas.db.functions import Code
from faas.db.invocations import Submission
from faas.domain import ids
from faas.domain.function import Function, Revision, Runtime, Spec
from faas.domain.invocation import Claim, Invocation, Status
from faas.domain.outcome import Outcome

DIGEST = "sha256:" + "ab" * 32
PATIENCE = 60.0
_numbers = itertools.count(1)


def administer(url: str, statement: str) -> None:
    """Run one statement outside of a transaction, from the database `postgres`."""
    connection = psycopg2.connect(url.rpartition("/")[0] + "/postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def spec(**changes: Any) -> Spec:
    """A spec of a Python function."""
    return Spec(**{"runtime": Runtime.PYTHON, "handler": "main.handler", **changes})


def revision(**changes: Any) -> Revision:
    """A revision that is in no database."""
    given = {
        "function_id": ids.uuid7(),
        "function_name": "f",
        "number": 1,
        "spec": spec(),
        "code_digest": DIGEST,
        "artifact_digest": DIGEST,
    }
    return Revision(**{**given, **changes})


def claim(**changes: Any) -> Claim:
    """A claim that is in no database."""
    given = {
        "invocation_id": ids.uuid7(),
        "attempt": 1,
        "max_attempts": 1,
        "platform_failures": 0,
        "revision": revision(),
        "payload": "null",
        "headers": {},
        "timeout_ms": 1000,
    }
    return Claim(**{**given, **changes})


def function(database: Database, *, name: str | None = None, artifact: str | None = DIGEST, **changes: Any) -> Function:
    """A stored function; `artifact=None` leaves it building."""
    return functions.create(
        database, ids.uuid7(), name or f"function-{next(_numbers)}", spec(**changes), Code(DIGEST, 10, artifact)
    )


def accept(database: Database, ref: str, **changes: Any) -> invocations.Acceptance:
    """The verdict on one more invocation."""
    given = {"invocation_id": ids.uuid7(), "function": ref, "payload": "null", "headers": {}}
    return invocations.accept(database, Submission(**{**given, **changes}))


def invocation(database: Database, ref: str, **changes: Any) -> Invocation:
    """An accepted invocation."""
    made = accept(database, ref, **changes).invocation
    assert made is not None
    return made


def worker(database: Database) -> str:
    """An enrolled worker incarnation."""
    name = f"worker-{next(_numbers)}"
    workers.enrol(database, name, name, "simple")
    return name


def claimed(database: Database, ref: str, by: str | None = None, **changes: Any) -> Claim:
    """A running invocation."""
    made = attempts.claim(database, invocation(database, ref, **changes).id, by or worker(database))
    assert made is not None
    return made


def succeeded(result: Any = None) -> Outcome:
    """An outcome with a result."""
    return Outcome(Status.SUCCEEDED, result=json.dumps(result))


def slots(database: Database, function_id: str) -> tuple[int, int]:
    """(used, capacity) of a function."""
    with database.autocommit() as tx:
        row: Any = tx.one("SELECT used, capacity FROM slots WHERE function_id = %s", (function_id,))
    return row.used, row.capacity


def column(database: Database, invocation_id: str, name: str) -> Any:
    """One column of an invocation's row."""
    with database.autocommit() as tx:
        row: Any = tx.one(f"SELECT {name} FROM invocations WHERE id = %s", (invocation_id,))
    return row[0]


def run_sql(database: Database, statement: str, *parameters: Any) -> None:
    """Change what the platform itself would only change in time."""
    with database.autocommit() as tx:
        tx.run(statement, parameters)


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true value of a condition; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return value
