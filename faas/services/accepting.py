"""Accepting invocations, together where they come together.

An invocation is accepted at once where nothing of its function is being accepted. Those that come while another's commit is under way are then accepted by
one statement, one commit and one word to Redis: under load that takes a good part less of every process than one by one, and nobody waits for company.
"""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field

from faas.db import invocations
from faas.db.database import Database
from faas.db.invocations import Acceptance, Submission
from faas.errors import BrokerDown, DatabaseDown
from faas.queueing.publisher import Publisher
from faas.telemetry import tracing

log = logging.getLogger("faas.services")

_Which = tuple[str, str, str]

_MOST = 32
# A long payload is not worth waiting for, and is no company for others.
_PAYLOAD_CHARACTERS = 64 * 1024


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Ticket:
    """One that came while another was being accepted.

    Attributes:
        turn: released when there is something here: the verdict, or the error, or (with none of them) its thread is to accept it by itself.
        leads: those whom its thread is to accept, itself among them.
    """

    new: Submission
    turn: threading.Lock = field(default_factory=_held)
    leads: list[_Ticket] | None = None
    verdict: Acceptance | None = None
    error: DatabaseDown | None = None


class Accepting:
    """Accepts for one process; threads share it."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database, self._publisher = database, publisher
        self._lock = threading.Lock()
        # Those who wait for their turn, by the function that they name and where the end is waited for; wherever one is being accepted.
        self._waiting: dict[_Which, list[_Ticket]] = {}

    def accept(self, new: Submission, reply_to: str = "") -> Acceptance:
        """Accept an invocation, and publish it where it may run: committed when this returns.

        Args:
            reply_to: the channel on which its end is waited for.

        Raises:
            DatabaseDown: it was not accepted.
        """
        if new.key is not None or len(new.payload) > _PAYLOAD_CHARACTERS or tracing.current() is not None:
            return self._by_itself(new, reply_to)
        # One function's alone, as whoever accepts holds its slots: two groups never wait in a circle.
        which, ticket = (new.namespace, new.function, reply_to), None
        with self._lock:
            waiting = self._waiting.get(which)
            first = waiting is None
            if waiting is None:
                self._waiting[which] = []
            elif len(waiting) < _MOST:
                ticket = _Ticket(new)
                waiting.append(ticket)
        if ticket is not None:
            return self._in_turn(which, ticket, reply_to)
        try:
            return self._by_itself(new, reply_to)
        finally:
            if first:
                self._pass_on(which)

    def _by_itself(self, new: Submission, reply_to: str) -> Acceptance:
        verdict = invocations.accept(self._database, new)
        if verdict.admitted and verdict.invocation is not None:
            self._publish([verdict.invocation.id], reply_to)
        return verdict

    def _in_turn(self, which: _Which, ticket: _Ticket, reply_to: str) -> Acceptance:
        ticket.turn.acquire()
        if ticket.leads is not None:
            try:
                self._together(ticket.leads, reply_to)
            finally:
                for other in ticket.leads:
                    if other is not ticket:
                        other.turn.release()
                self._pass_on(which)
        if ticket.error is not None:
            raise DatabaseDown(str(ticket.error)) from ticket.error
        return ticket.verdict if ticket.verdict is not None else self._by_itself(ticket.new, reply_to)

    def _together(self, group: list[_Ticket], reply_to: str) -> None:
        if len(group) == 1:
            return
        try:
            verdicts = invocations.accept_many(self._database, [ticket.new for ticket in group])
        except DatabaseDown as error:
            for ticket in group:
                ticket.error = error
            return
        except Exception:
            # Nothing is accepted. One that can't be must not cost the others their answer: each tries by itself.
            log.exception("%d invocations could not be accepted together", len(group))
            return
        for ticket, verdict in zip(group, verdicts, strict=True):
            ticket.verdict = verdict
        self._publish([one.invocation.id for one in verdicts if one.admitted and one.invocation], reply_to)

    def _pass_on(self, which: _Which) -> None:
        with self._lock:
            waiting = self._waiting[which]
            if not waiting:
                del self._waiting[which]
                return
            self._waiting[which] = []
        waiting[0].leads = waiting
        waiting[0].turn.release()

    def _publish(self, ids: list[str], reply_to: str) -> None:
        if not ids:
            return
        traces = tracing.current()
        try:
            with nullcontext() if traces is None else traces.publishing(ids[0]):
                self._publisher.invocations(ids, reply_to)
        except BrokerDown as error:
            # Accepted all the same: the reconciler publishes them.
            log.warning("not published yet: %s", error, extra={"fields": {"invocation_id": " ".join(ids)}})
