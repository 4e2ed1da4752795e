"""Accepting, following and cancelling invocations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from faas.db import functions, histories, invocations, namespaces, replays
from faas.db.database import Database
from faas.db.invocations import Acceptance, Submission
from faas.domain import ids
from faas.domain.duration import format_duration
from faas.domain.history import History
from faas.domain.invocation import Invocation, Page, Status
from faas.domain.log import Excerpt, Position
from faas.domain.namespace import DEFAULT
from faas.errors import BrokerDown, ClientError, Conflict, Invalid, NotFound, PlatformError
from faas.queueing.publisher import Publisher
from faas.results import reply
from faas.services import following
from faas.services.accepting import Accepting
from faas.services.quotas import Admission
from faas.services.requests import Accepted, NewInvocation, Replay
from faas.services.waiting import Waiters
from faas.telemetry import tracing

log = logging.getLogger("faas.services")


class Invocations:
    """The use cases of invocations. Each method is one; what it raises is in `faas.errors`."""

    def __init__(
        self, database: Database, publisher: Publisher, waiters: Waiters, redis_url: str, admission: Admission
    ) -> None:
        self._admission, self._accepting = admission, Accepting(database, publisher)
        self._database, self._publisher, self._waiters, self._redis_url = database, publisher, waiters, redis_url

    def invoke(self, new: NewInvocation, *, wait_s: float = 0.0) -> Accepted:
        """Accept an invocation: committed when this returns, and from then on it reaches a terminal status whatever happens.

        Args:
            wait_s: return when it is terminal, or after so many seconds. A replayed one is not waited for.

        Raises:
            NotFound: no such function. Conflict: its newest revision did not build. Invalid: the timeout is over the function's, or the
            idempotency key was used with another body. QueueFull, DatabaseDown: nothing was accepted.
        """
        invocation_id = ids.uuid7()
        if wait_s <= 0:
            return self._accept(invocation_id, new)
        # Watched before it is published: so its end can't be missed, and no look into the database is needed before the last.
        with self._waiters.watch(invocation_id, for_reply=True) as watch:
            accepted = self._accept(invocation_id, new, self._waiters.channel)
            if accepted.replayed:
                return accepted
            try:
                self._waiters.until_answered(invocation_id, watch, wait_s)
                if watch.reply is not None:
                    return Accepted(reply.record(accepted.invocation, watch.reply), replayed=False)
                return Accepted(self.get(invocation_id), replayed=False)
            except PlatformError as error:
                # It is accepted: a failure of the wait must not look like a refusal, which one would send again.
                log.warning("the wait ended early: %s", error, extra={"fields": {"invocation_id": invocation_id}})
                return accepted

    def replay(self, asked: Replay) -> Accepted:
        """Run an invocation that has ended once more: a new one with the same payload and headers.

        Raises:
            NotFound: no such invocation. Conflict: it has not ended, its function is deleted, or the revision did not build. Invalid: the
            idempotency key was used for something else.
        """
        source = replays.source(self._database, asked.invocation_id)
        if not source.status.terminal:
            raise Conflict("The invocation has not ended yet.")
        again = source.submission(ids.uuid7(), pinned=asked.pinned, namespace=asked.namespace)
        traces = tracing.current()
        if traces is not None:
            traces.follows(source.headers)
            again = replace(again, headers=traces.carried(source.headers))
        try:
            return self._submit(replace(again, key=asked.idempotency_key, fingerprint=asked.fingerprint))
        except NotFound:
            raise Conflict("Its function was deleted.") from None

    def _accept(self, invocation_id: str, new: NewInvocation, reply_to: str = "") -> Accepted:
        return self._submit(submission(invocation_id, new), reply_to)

    def _submit(self, new: Submission, reply_to: str = "") -> Accepted:
        self._admission.enter(new.namespace)
        verdict = self._accepting.accept(new, reply_to)
        if verdict.verdict == "replayed" and verdict.invocation_id:
            return Accepted(self.get(verdict.invocation_id), replayed=True)
        if verdict.invocation is None:
            raise refusal(verdict, new)
        return Accepted(verdict.invocation, replayed=False)

    def get(self, invocation_id: str) -> Invocation:
        """One invocation, whole."""
        return invocations.get(self._database, invocation_id)

    def wait(self, invocation_id: str, seconds: float) -> Invocation:
        """One invocation, when it is terminal or the time is over; the thread waits, and is woken."""
        self._waiters.wait(invocation_id, seconds)
        return self.get(invocation_id)

    def find(
        self,
        *,
        function: str | None = None,
        status: Status | None = None,
        batch_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        namespace: str = DEFAULT,
    ) -> Page[Invocation]:
        """A page of the invocations of a namespace, newest first. A function or a batch that is not there has none."""
        function_id, within = None, None
        if function is not None:
            function_id = functions.find_id(self._database, function, namespace)
            if function_id is None:
                return Page([], None)
        if batch_id is not None:
            if namespaces.of_batch(self._database, batch_id) != namespace:
                return Page([], None)
        elif function_id is None and namespaces.several(self._database):
            within = namespace
        return invocations.find(
            self._database,
            function_id=function_id,
            status=status,
            batch_id=batch_id,
            limit=limit,
            cursor=cursor,
            namespace=within,
        )

    def cancel(self, invocation_id: str) -> Invocation:
        """Cancel a queued or running invocation; a running one is stopped by its worker within about a second.

        Raises:
            Conflict: it is terminal already.
        """
        verdict, admitted = invocations.cancel(self._database, invocation_id)
        if verdict == "terminal":
            raise Conflict("The invocation has ended already.")
        if verdict == "cancelled":
            self._publisher.announce(run=admitted, ended=[invocation_id])
        else:
            self._tell_worker(invocation_id)
        return self.get(invocation_id)

    def history(self, invocation_id: str) -> History:
        """What happened to an invocation so far, and what it waits for."""
        return histories.get(self._database, invocation_id)

    def logs(self, invocation_id: str) -> bytes:
        """What its last attempt printed, raw."""
        return invocations.logs(self._database, invocation_id)

    def live(self, invocation_id: str, position: Position) -> Iterator[Excerpt | None]:
        """What it prints from a position on, as it is printed, until it is terminal (see `faas.services.following.live`)."""
        return following.live(self._database, self._waiters, self._redis_url, invocation_id, position)

    def _tell_worker(self, invocation_id: str) -> None:
        try:
            self._publisher.cancel(invocation_id)
        except BrokerDown as error:
            log.warning("the worker will find the cancellation at its next beat: %s", error)


def submission(invocation_id: str, new: NewInvocation) -> Submission:
    """What the database is asked to accept."""
    traces = tracing.current()
    return Submission(
        invocation_id=invocation_id,
        function=new.function,
        payload=new.payload,
        headers=new.headers if traces is None else traces.carried(new.headers),
        timeout_ms=new.timeout_ms,
        key=new.idempotency_key,
        fingerprint=new.fingerprint,
        delay_ms=new.delay_ms,
        run_at=new.run_at,
        expires_ms=new.expires_ms,
        namespace=new.namespace,
    )


def refusal(verdict: Acceptance, new: Submission) -> ClientError:
    """The error for an invocation that was not accepted."""
    if verdict.verdict == "missing":
        return NotFound(f"There is no function {new.function!r}.")
    if verdict.verdict == "failed":
        return Conflict("The function's revision did not build; its state_reason says why.")
    if verdict.verdict == "too_long":
        return Invalid({"timeout": [f"{format_duration(new.timeout_ms or 0)} is longer than the function's own."]})
    return Invalid({"Idempotency-Key": ["It was used with another body."]})
