"""The platform in numbers, for whoever scrapes: measured at most about once a second, however many ask."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from faas.db import measures, stats
from faas.db.database import Database
from faas.db.measures import Measures
from faas.db.stats import Totals
from faas.errors import DatabaseDown

T = TypeVar("T")
log = logging.getLogger("faas.services")

_LEAST_SECONDS = 1.0
# Counting a queue of a million takes a while: it is done for a twentieth of the time at most.
_SHARE = 20.0
# Whoever scrapes waits for ten seconds as a rule, for three of these and for Redis.
_PATIENCE_SECONDS = 2.5


class Measuring:
    """Measures the platform.

    Args:
        lease_s: a worker that has not beaten for this long is not alive.
    """

    def __init__(self, database: Database, lease_s: float) -> None:
        self._answers = Kept(lambda: _answers(database))
        self._platform = Kept(lambda: measures.take(database, lease_s))
        self._totals = Kept(lambda: stats.totals(database))

    def database_up(self) -> bool:
        """Whether PostgreSQL answers, and in time."""
        return bool(self._answers.get())

    def platform(self) -> Measures | None:
        """What the database knows; None where it does not answer."""
        return self._platform.get()

    def totals(self) -> Totals | None:
        """What the functions' invocations have added up to; None where the database does not answer."""
        return self._totals.get()


def _answers(database: Database) -> bool:
    database.ping()
    return True


class Kept(Generic[T]):
    """A value out of the database that is found anew when it is a second old, or older where finding it takes long.

    It is waited for by those who ask, for `patience_s` at most: a database that hangs would hold them for a minute.
    """

    def __init__(self, find: Callable[[], T], patience_s: float = _PATIENCE_SECONDS) -> None:
        self._find, self._patience_s = find, patience_s
        self._lock = threading.Lock()
        self._value: T | None = None
        self._stale_at = 0.0
        # Set when the finding that is under way is over.
        self._found: threading.Event | None = None

    def get(self) -> T | None:
        """The value; None where it can't be found, or not in time."""
        with self._lock:
            if self._found is None and time.monotonic() < self._stale_at:
                return self._value
            if self._found is None:
                self._found = threading.Event()
                threading.Thread(target=self._look, args=(self._found,), name="measuring", daemon=True).start()
            found = self._found
        if not found.wait(self._patience_s):
            log.warning("not measured: PostgreSQL is slow")
            return None
        with self._lock:
            return self._value

    def _look(self, found: threading.Event) -> None:
        began, value, pause = time.monotonic(), None, _LEAST_SECONDS
        try:
            value = self._find()
            pause = max(_LEAST_SECONDS, _SHARE * (time.monotonic() - began))
        except DatabaseDown as error:
            log.warning("not measured: %s", error)
        except Exception:
            log.exception("not measured")
        with self._lock:
            self._value, self._found = value, None
            self._stale_at = time.monotonic() + pause
        found.set()
