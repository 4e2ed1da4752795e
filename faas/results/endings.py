"""The one place where an attempt ends: the terminal row, or the next attempt; then the wake-up of whoever waits, and the next in the queue."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict

from faas.db import attempts
from faas.db.attempts import AttemptEnd, Finished
from faas.db.database import Database
from faas.domain import outcome as outcomes
from faas.domain.function import Retry
from faas.domain.invocation import Claim, Status, backoff_ms
from faas.domain.outcome import Failure, Outcome
from faas.errors import DatabaseDown
from faas.queueing.publisher import Publisher
from faas.results.reply import Reply

log = logging.getLogger("faas.results")

# Between attempts that the platform itself spoilt.
PLATFORM_RETRY = Retry(max_attempts=0, backoff_ms=500, max_backoff_ms=30_000)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# So many at once at most, and so many that wait before nothing more is claimed.
_GROUP = 64
_BACKLOG = 256


class Endings:
    """Ends attempts. Those that end at the same time share one commit: whoever writes does it for all who came while the last commit was in flight.

    Args:
        platform_retries: how often a failure of the platform is tried again.
    """

    def __init__(self, database: Database, publisher: Publisher, *, platform_retries: int) -> None:
        self._database, self._publisher = database, publisher
        self._platform_retries = platform_retries
        self._lock = threading.Lock()
        # For the thread that writes what nobody waits for, and for who waits until less is to be written.
        self._changed, self._less = threading.Condition(self._lock), threading.Condition(self._lock)
        self._pending: list[_Ticket] = []
        self._writing = False
        self._writer: threading.Thread | None = None
        self._closed = threading.Event()

    def end(self, claim: Claim, outcome: Outcome, reply_to: str | None = None) -> Finished:
        """End an attempt with its outcome; committed when this returns.

        While PostgreSQL is away this waits for it. What it writes is refused where the attempt is not the current one any more.

        Args:
            reply_to: the channel on which somebody waits for just this invocation.

        Raises:
            DatabaseDown: PostgreSQL is away and this process is about to stop; the lease ends the attempt then.
        """
        ticket = _Ticket(self._end_of(claim, outcome), Reply(reply_to, claim, outcome) if reply_to else None)
        try:
            return self._write(ticket)
        except DatabaseDown:
            raise
        except Exception:
            # The worker lives on, so no lease would ever end the attempt.
            log.exception("an outcome can't be kept", extra={"fields": {"invocation_id": claim.invocation_id}})
            return self._write(_Ticket(_unkept(ticket.end)))

    def end_later(self, claim: Claim, outcome: Outcome, then: Callable[[], None], reply_to: str | None = None) -> None:
        """The same, by a thread of its own; `then` is called when it is written, or can't be."""
        reply = Reply(reply_to, claim, outcome) if reply_to else None
        self._write_later(_Ticket(self._end_of(claim, outcome), reply, then))

    def end_soon(self, claim: Claim, outcome: Outcome, then: Callable[[], None], reply_to: str | None = None) -> None:
        """The same, by this thread where nobody writes at the moment. Where PostgreSQL is away, it is not this one that waits for it."""
        ticket = _Ticket(self._end_of(claim, outcome), Reply(reply_to, claim, outcome) if reply_to else None, then)
        with self._lock:
            lead = not self._writing and not self._pending and self._writer is not None
            if lead:
                self._pending.append(ticket)
                self._writing = True
        if lead:
            self._lead(patient=False)
        else:
            self._write_later(ticket)

    def wait_for_room(self) -> None:
        """Wait while more ends are to be written than a few commits take: before new attempts begin."""
        with self._lock:
            while len(self._pending) >= _BACKLOG and not self._closed.is_set():
                self._less.wait(1.0)

    def _end_of(self, claim: Claim, outcome: Outcome) -> AttemptEnd:
        failure = outcome.failure
        platform = failure is not None and failure.is_platform
        return AttemptEnd(
            function_id=claim.revision.function_id,
            invocation_id=claim.invocation_id,
            attempt=claim.attempt,
            status=outcome.status,
            result=outcome.result,
            error=_error_text(failure),
            error_type=failure.type if failure else None,
            logs=outcome.logs,
            init_ms=outcome.init_ms,
            duration_ms=outcome.duration_ms,
            cold_start=outcome.cold_start,
            memory_peak_mb=outcome.memory_peak_mb,
            retry_ms=self._retry_ms(claim, outcome),
            fault="platform" if platform else "function",
            worker=claim.worker,
        )

    def hand_back(self, claim: Claim) -> Finished:
        """Give an attempt back unfinished: another worker may begin it again at once, and it costs the function no attempt."""
        return self._write(_Ticket(_handback(claim)))

    def hand_back_later(self, claim: Claim, then: Callable[[], None]) -> None:
        """The same, by a thread of its own; `then` is called when it is written, or can't be."""
        self._write_later(_Ticket(_handback(claim), None, then))

    def lose(self, function_id: str, invocation_id: str, attempt: int, platform_failures: int) -> Finished:
        """End an attempt whose worker is lost: tried again, or `Platform.WorkerLost`."""
        failure = Failure(outcomes.WORKER_LOST, "The worker that ran it was lost.")
        again = self._platform_retry_ms(platform_failures)
        return self._write(_Ticket(_platform_end(function_id, invocation_id, attempt, again, "platform", failure)))

    def close(self) -> None:
        """Write what is to be written, where PostgreSQL is there; wait for it no longer."""
        self._closed.set()
        with self._lock:
            self._changed.notify_all()
            self._less.notify_all()
        if self._writer is not None:
            self._writer.join(timeout=30)

    def _retry_ms(self, claim: Claim, outcome: Outcome) -> int | None:
        if outcome.failure is not None and outcome.failure.is_platform:
            return self._platform_retry_ms(claim.platform_failures)
        if outcome.status in (Status.FAILED, Status.TIMED_OUT) and claim.attempt < claim.max_attempts:
            return backoff_ms(claim.revision.spec.retry, max(1, claim.attempt - claim.platform_failures))
        return None

    def _platform_retry_ms(self, failures: int) -> int | None:
        return backoff_ms(PLATFORM_RETRY, failures + 1) if failures < self._platform_retries else None

    def _write(self, ticket: _Ticket) -> Finished:
        with self._lock:
            self._pending.append(ticket)
            lead, self._writing = not self._writing, True
        if not lead:
            ticket.turn.wait()
        if ticket.finished is None and ticket.error is None:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.finished is not None
        return ticket.finished

    def _write_later(self, ticket: _Ticket) -> None:
        with self._lock:
            self._pending.append(ticket)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="ends", daemon=True)
                self._writer.start()
            if not self._writing:
                self._changed.notify()

    def _write_on(self) -> None:
        """The thread that writes what nobody waits for."""
        while True:
            with self._lock:
                while self._writing or not self._pending:
                    if self._closed.is_set() and not self._pending:
                        return
                    self._changed.wait()
                self._writing = True
            self._lead()

    def _lead(self, own: _Ticket | None = None, *, patient: bool = True) -> None:
        """Write what is pending (`own` among it, which the leader waits for), then let the first who came meanwhile lead.

        Args:
            patient: wait for PostgreSQL where it is away; else what can't be written is pending again.
        """
        with self._lock:
            size = _GROUP if own is None else max(_GROUP, self._pending.index(own) + 1)
            group, self._pending = self._pending[:size], self._pending[size:]
        try:
            self._write_group(group, patient)
        finally:
            with self._lock:
                if not patient:
                    group = self._put_back(group)
                following = next((ticket for ticket in self._pending if ticket.then is None), None)
                self._writing = following is not None
                if not self._writing and (self._pending or self._closed.is_set()):
                    self._changed.notify()
                self._less.notify_all()
            for ticket in group:
                self._settle(ticket)
            if following is not None:
                following.turn.set()

    def _put_back(self, group: list[_Ticket]) -> list[_Ticket]:
        """Let those of a group be pending again for which PostgreSQL was away; the others. Under the lock."""
        late = [ticket for ticket in group if isinstance(ticket.error, DatabaseDown)]
        for ticket in late:
            ticket.error = None
        self._pending[:0] = late
        return [ticket for ticket in group if ticket not in late]

    def _settle(self, ticket: _Ticket) -> None:
        if ticket.then is None:
            ticket.turn.set()
            return
        if ticket.error is not None and not isinstance(ticket.error, DatabaseDown):
            log.error(
                "an outcome can't be kept",
                exc_info=ticket.error,
                extra={"fields": {"invocation_id": ticket.end.invocation_id}},
            )
            if not ticket.unkept:
                self._write_later(_Ticket(_unkept(ticket.end), None, ticket.then, unkept=True))
                return
        try:
            ticket.then()
        except Exception:
            log.exception("what follows an end failed")

    def _write_group(self, group: list[_Ticket], patient: bool) -> None:
        try:
            done, admitted = self._persist([ticket.end for ticket in group], patient)
        except Exception as error:
            if len(group) == 1 or isinstance(error, DatabaseDown):
                for ticket in group:
                    ticket.error = error
                return
            # One bad row must not cost the others theirs.
            for ticket in group:
                self._write_group([ticket], patient)
            return
        for ticket, finished in zip(group, done, strict=True):
            ticket.finished = finished
        try:
            self._announce(group, admitted)
        except Exception:
            # They are written: the reconciler publishes who follows, and who waits looks for himself.
            log.exception("ends were not announced")

    def _persist(self, ends: list[AttemptEnd], patient: bool) -> tuple[list[Finished], list[str]]:
        pause = _FIRST_PAUSE
        while True:
            try:
                return attempts.finish(self._database, ends)
            except DatabaseDown as error:
                log.warning("%d ended, not written yet: %s", len(ends), error)
                if not patient or self._closed.wait(pause):
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _announce(self, group: list[_Ticket], admitted: list[str]) -> None:
        done = [(ticket, ticket.finished) for ticket in group if ticket.finished and ticket.finished.applied]
        over = [(ticket, finished) for ticket, finished in done if finished.status and finished.status.terminal]
        self._publisher.announce(
            run=admitted,
            ended=[ticket.end.invocation_id for ticket, _ in over],
            replies=[ticket.reply.render(finished) for ticket, finished in over if ticket.reply],
        )
        # After those who wait have their answers.
        for ticket, finished in done:
            if log.isEnabledFor(logging.INFO):
                log.info("attempt ended", extra={"fields": _fields(ticket.end, finished)})


class _Ticket:
    """An end to be written: by the thread that waits for its `turn`, or (with `then`) by the writer. `unkept`: in place of one that was refused."""

    __slots__ = ("end", "error", "finished", "reply", "then", "turn", "unkept")

    def __init__(
        self,
        end: AttemptEnd,
        reply: Reply | None = None,
        then: Callable[[], None] | None = None,
        *,
        unkept: bool = False,
    ) -> None:
        self.end, self.reply, self.then, self.unkept = end, reply, then, unkept
        self.finished: Finished | None = None
        self.error: Exception | None = None
        self.turn = threading.Event() if then is None else _NOBODY


_NOBODY = threading.Event()


def _platform_end(
    function_id: str, invocation_id: str, attempt: int, retry_ms: int | None, fault: str, failure: Failure | None
) -> AttemptEnd:
    return AttemptEnd(
        function_id=function_id,
        invocation_id=invocation_id,
        attempt=attempt,
        status=Status.FAILED,
        error=_error_text(failure),
        error_type=failure.type if failure else None,
        retry_ms=retry_ms,
        fault=fault,
    )


def _handback(claim: Claim) -> AttemptEnd:
    end = _platform_end(claim.revision.function_id, claim.invocation_id, claim.attempt, 0, "handback", None)
    return end._replace(worker=claim.worker)


def _unkept(end: AttemptEnd) -> AttemptEnd:
    """What is written in place of an end that PostgreSQL refuses."""
    failure = Failure(outcomes.SANDBOX_ERROR, "The outcome could not be kept; the worker's log has the reason.")
    unkept = _platform_end(end.function_id, end.invocation_id, end.attempt, None, "platform", failure)
    return unkept._replace(worker=end.worker)


def _error_text(failure: Failure | None) -> str | None:
    """The `error` of the record as JSON text (ASCII: every control character and lone surrogate escaped). A cancelled one has none."""
    return json.dumps(asdict(failure)) if failure is not None else None


def _fields(end: AttemptEnd, finished: Finished) -> dict[str, object]:
    return {
        "invocation_id": end.invocation_id,
        "function_id": end.function_id,
        "attempt": end.attempt,
        "outcome": end.status.value,
        "status": finished.status,
        "error_type": end.error_type,
        "duration_ms": end.duration_ms,
        "cold_start": end.cold_start,
    }
