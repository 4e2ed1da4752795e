"""Following an invocation's log while it is printed. The record has the whole log at the end, so nothing that is lost on the way is lost for good."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from faas.db import invocations
from faas.db.database import Database
from faas.domain.log import Excerpt, Position
from faas.errors import BrokerDown
from faas.queueing.follow import ASK_SECONDS, Feed
from faas.services.waiting import Waiters, Watch

log = logging.getLogger("faas.services")

_LOOK_SECONDS = 2.0
_PAUSE_SECONDS = 1.0
# How late an end may be noticed: after an attempt's last words it is a moment away; while a worker is heard, its last words come first; else it
# may be any time, and mostly it is soon.
_ENDING_SLICE, _HEARD_SLICE, _EARLY_SLICE, _LATE_SLICE = 0.05, 1.0, 0.1, 0.5
_ENDING_SECONDS, _EARLY_SECONDS = 3.0, 10.0
# How long last words may come after the end is known: the record has them too, but not their stream.
_LINGER_SECONDS = 0.25


def live(
    database: Database, waiters: Waiters, redis_url: str, invocation_id: str, position: Position
) -> Iterator[Excerpt | None]:
    """What an invocation prints from a position on, until it is terminal: then the record has the rest.

    Excerpts come in order and without gaps within an attempt; one of a later attempt begins at its offset 0. None comes at least once a second, so that
    the caller can look around.

    Raises:
        NotFound: there is no such invocation. DatabaseDown.
    """
    with waiters.watch(invocation_id) as watch, waiters.all_ends(), Feed(redis_url, invocation_id) as feed:
        yield from _Follower(database, feed, watch, invocation_id, position).run()


class _Follower:
    """One follower. `lost` while something between what it has and what it hears is missing; `idle` while nothing is said that it has not heard;
    `closed` when the last that it `heard` was the end of an attempt's log.
    """

    def __init__(self, database: Database, feed: Feed, watch: Watch, invocation_id: str, position: Position) -> None:
        self._database, self._feed, self._watch, self._id = database, feed, watch, invocation_id
        self._position, self._lost, self._idle = position, True, True
        self._heard = self._closed = False
        self._began = time.monotonic()
        self._asked_at = -ASK_SECONDS
        self._look_at = self._ending_until = 0.0

    def run(self) -> Iterator[Excerpt | None]:
        while not self._over():
            try:
                heard = self._hear()
            except BrokerDown as error:
                log.debug("followed without Redis: %s", error)
                self._watch.wait(_PAUSE_SECONDS)
                heard = None
            yield self._fresh(heard) if heard is not None else None
        yield from self._last_words()

    def _last_words(self) -> Iterator[Excerpt]:
        """What a worker that was heard says after the end, as long as it takes it to look at its logs once more."""
        deadline = time.monotonic() + _LINGER_SECONDS
        while self._heard and not self._closed and (left := deadline - time.monotonic()) > 0:
            try:
                heard = self._feed.next(left)
            except BrokerDown:
                return
            if heard is not None and (fresh := self._fresh(heard)) is not None:
                yield fresh

    def _over(self) -> bool:
        """Whether it is terminal. A wake-up comes after the commit; one may be lost, so the database is looked at too."""
        if not self._watch.woken and time.monotonic() >= self._look_at:
            if invocations.status(self._database, self._id).terminal:
                return True
            self._look_at = time.monotonic() + _LOOK_SECONDS
        return self._watch.woken

    def _hear(self) -> Excerpt | None:
        if self._feed.open():
            self._lost, self._asked_at = True, -ASK_SECONDS
        now = time.monotonic()
        if now - self._asked_at >= (_PAUSE_SECONDS if self._lost else ASK_SECONDS):
            # Who reads slowly has much that is on its way: asked for again, it would come twice.
            self._feed.ask(self._position if self._lost or self._idle else None)
            self._lost, self._asked_at = False, now
        heard = self._feed.next(self._slice(now))
        self._idle = heard is None
        return heard

    def _slice(self, now: float) -> float:
        """How long to listen before looking for the end."""
        if now < self._ending_until:
            return _ENDING_SLICE
        if self._heard and not self._closed:
            return _HEARD_SLICE
        return _EARLY_SLICE if now - self._began < _EARLY_SECONDS else _LATE_SLICE

    def _fresh(self, heard: Excerpt) -> Excerpt | None:
        """What of an excerpt was not there before; None where that is nothing, or where it does not join on."""
        self._heard, self._closed = True, heard.closed
        if heard.closed:
            self._ending_until = time.monotonic() + _ENDING_SECONDS
        if heard.start.attempt < self._position.attempt:
            return None
        have = self._position if heard.start.attempt == self._position.attempt else Position(heard.start.attempt, 0)
        if heard.start.offset > have.offset:
            # Something between was lost on the way; it is sent again.
            self._lost = True
            return None
        if heard.end.offset <= have.offset:
            return None
        self._position = heard.end
        return heard.after(have.offset)
