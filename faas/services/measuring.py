"""The platform in numbers, for whoever scrapes: measured at most about once a second, however many ask."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from faas.db import measures
from faas.db.database import Database
from faas.db.measures import Measures
from faas.errors import BrokerDown, DatabaseDown, PlatformError
from faas.queueing.publisher import Publisher

T = TypeVar("T")
log = logging.getLogger("faas.services")

_LEAST_SECONDS = 1.0
# Counting a queue of a million takes a while: it is done for a twentieth of the time at most.
_SHARE = 20.0


class Measuring:
    """Measures the platform.

    Args:
        lease_s: a worker that has not beaten for this long is not alive.
    """

    def __init__(self, database: Database, publisher: Publisher, lease_s: float) -> None:
        self._platform = _Kept(lambda: measures.take(database, lease_s), DatabaseDown)
        self._backlog = _Kept(publisher.backlog, BrokerDown)

    def platform(self) -> Measures | None:
        """What the database knows; None where it does not answer."""
        return self._platform.get()

    def backlog(self) -> int | None:
        """How many messages wait in the broker; None where it does not answer."""
        return self._backlog.get()


class _Kept(Generic[T]):
    """A value that is found anew when it is a second old, or older where finding it takes long. None where it can't be found."""

    def __init__(self, find: Callable[[], T], failure: type[PlatformError]) -> None:
        self._find, self._failure = find, failure
        self._lock = threading.Lock()
        self._value: T | None = None
        self._stale_at = 0.0

    def get(self) -> T | None:
        with self._lock:
            began = time.monotonic()
            if began >= self._stale_at:
                self._value = self._found()
                now = time.monotonic()
                self._stale_at = now + max(_LEAST_SECONDS, _SHARE * (now - began))
            return self._value

    def _found(self) -> T | None:
        try:
            return self._find()
        except self._failure as error:
            log.warning("not measured: %s", error)
            return None
