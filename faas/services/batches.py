"""Accepting many invocations at once, and following them."""

from __future__ import annotations

from collections import Counter

from faas.db import batches, functions, namespaces, replays
from faas.db.database import Database
from faas.db.invocations import Acceptance, Submission
from faas.domain import ids
from faas.domain.invocation import Status
from faas.domain.namespace import DEFAULT
from faas.errors import ClientError, Invalid
from faas.queueing.publisher import Publisher
from faas.services.invocations import refusal, submission
from faas.services.quotas import Admission
from faas.services.requests import AcceptedBatch, NewBatch, ReplayMany


class Batches:
    """The use cases of batches. Each method is one; what it raises is in `faas.errors`."""

    def __init__(self, database: Database, publisher: Publisher, admission: Admission) -> None:
        self._database, self._publisher, self._admission = database, publisher, admission

    def invoke(self, new: NewBatch) -> AcceptedBatch:
        """Accept all invocations of a batch, or none: one commit, and one pipeline to Redis.

        Raises:
            NotFound, Conflict, Invalid: as in `Invocations.invoke`, for the first item that is refused; the message says which.
            QueueFull, DatabaseDown: nothing was accepted.
        """
        for namespace, count in Counter(one.namespace for one in new.items).items():
            self._admission.enter(namespace, count)
        batch_id = ids.uuid7()
        submissions = [submission(ids.uuid7(), one).of_batch(batch_id) for one in new.items]
        verdicts = batches.accept(self._database, submissions, new.idempotency_key, new.fingerprint)
        for verdict in verdicts:
            if verdict.verdict == "replayed" and verdict.invocation_id:
                known, members = batches.members(self._database, verdict.invocation_id)
                return AcceptedBatch(known or verdict.invocation_id, members, replayed=True)
        for index, (verdict, one) in enumerate(zip(verdicts, submissions, strict=True)):
            if verdict.verdict != "accepted":
                raise _refused(index, verdict, one)
        self._publisher.announce(run=[one.invocation_id for one in verdicts if one.admitted and one.invocation_id])
        return AcceptedBatch(batch_id, [one.invocation_id for one in submissions], replayed=False)

    def replay(self, asked: ReplayMany) -> AcceptedBatch:
        """Run many again, as a batch. A function that is deleted, or whose revision did not build, is passed over; a batch may have nobody.

        Raises:
            QueueFull, DatabaseDown: nothing was accepted.
        """
        batch_id = ids.uuid7()
        function_id = (
            functions.find_id(self._database, asked.function, asked.namespace) if asked.function is not None else None
        )
        if asked.function is not None and function_id is None:
            return AcceptedBatch(batch_id, [], replayed=False)
        wanted = replays.Filter(asked.status, function_id, asked.batch_id, asked.after, asked.before, asked.namespace)
        self._admission.enter(asked.namespace, asked.limit)
        new_ids = [ids.uuid7() for _ in range(asked.limit)]
        accepted, run = replays.run_many(self._database, wanted, batch_id, new_ids, pinned=asked.pinned)
        self._publisher.announce(run=run)
        return AcceptedBatch(batch_id, accepted, replayed=False)

    def counts(self, batch_id: str, namespace: str = DEFAULT) -> dict[Status, int]:
        """How many invocations of a batch have each status; zeros for one that is not there."""
        if namespaces.of_batch(self._database, batch_id) != namespace:
            return dict.fromkeys(Status, 0)
        return batches.counts(self._database, batch_id)


def _refused(index: int, verdict: Acceptance, one: Submission) -> ClientError:
    """The refusal of one item, with its place in it."""
    error = refusal(verdict, one)
    if verdict.verdict == "mismatch":
        return error
    if isinstance(error, Invalid):
        return Invalid({f"items.{index}.{field}": messages for field, messages in error.errors.items()})
    return type(error)(f"items.{index}: {error}")
