"""What becomes of claims and attempts is counted where it is written."""

from __future__ import annotations

import json

from factories import claimed, function, invocation, succeeded, worker

from faas.db import attempts
from faas.db.attempts import AttemptEnd
from faas.domain import ids
from faas.domain.invocation import Status


def counted(database):
    """What was counted since this was last asked; times are left out."""
    fields = {tuple(json.loads(field)): number for field, number in database.counts.take().items()}
    return {field: number for field, number in fields.items() if not field[0].endswith("_seconds") and number}


def end(claim, status, **changes):
    return AttemptEnd(claim.revision.function_id, claim.invocation_id, claim.attempt, status, **changes)


def test_claims_are_counted_and_messages_in_vain_too(database):
    mine = [invocation(database, function(database).id).id for _ in range(2)]
    database.counts.take()
    attempts.claim_many(database, [*mine, ids.uuid7()], worker(database))
    attempts.claim_many(database, mine[:1], worker(database))
    assert counted(database) == {("faas_claims", "claimed"): 2, ("faas_claims", "nothing"): 2}


def test_ends_are_counted_by_what_they_are(database):
    made = function(database, max_concurrency=10)
    one, other, third, fourth = (claimed(database, made.id) for _ in range(4))
    database.counts.take()
    attempts.finish(database, [end(one, Status.SUCCEEDED, result=succeeded().result), end(other, Status.TIMED_OUT)])
    attempts.finish(database, [end(third, Status.FAILED, retry_ms=0)])
    attempts.finish(database, [end(fourth, Status.FAILED, fault="handback", retry_ms=0)])
    late = end(one, Status.FAILED)
    attempts.finish(database, [late, late._replace(attempt=7)])
    assert counted(database) == {
        ("faas_attempts", "succeeded"): 1,
        ("faas_attempts", "timed_out"): 1,
        ("faas_attempts", "failed"): 1,
        ("faas_attempts", "handed_back"): 1,
        ("faas_retries", "function"): 1,
        ("faas_retries", "handback"): 1,
        ("faas_ends_refused",): 2,
    }


def test_statements_are_timed_by_kind(database):
    claimed(database, function(database).id)
    kinds = {json.loads(field)[1] for field in database.counts.take() if "faas_database_seconds" in field}
    assert kinds == {"accept", "claim", "commit", "other"}
