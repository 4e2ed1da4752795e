"""Whether everything that the platform stands on answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from faas.db import workers
from faas.db.database import Database
from faas.errors import PlatformError
from faas.queueing.publisher import Publisher
from faas.services.requests import HealthReport
from faas.storage import Storage

log = logging.getLogger("faas.services")


class Health:
    """The checks of `GET /health`."""

    def __init__(self, database: Database, publisher: Publisher, storage: Storage, lease_s: float) -> None:
        self._database, self._publisher, self._storage, self._lease_s = database, publisher, storage, lease_s

    def check(self) -> HealthReport:
        """Run every check; none is left out because another failed."""
        checks = {
            "database": _word(self._database.ping, "PostgreSQL does not answer"),
            "broker": _word(self._publisher.ping, "Redis does not answer"),
            "storage": _word(self._storage.check, "the code storage can't be used"),
            "workers": _word(self._workers, "no worker is alive"),
        }
        return HealthReport(all(word == "ok" for word in checks.values()), checks)

    def _workers(self) -> None:
        if not workers.alive(self._database, self._lease_s):
            raise PlatformError("no worker is alive")


def _word(check: Callable[[], None], complaint: str) -> str:
    """`ok`, or the complaint. What the library said goes to the log alone: it has host and user names in it."""
    try:
        check()
    except PlatformError as error:
        log.warning("%s: %s", complaint, error)
        return complaint
    return "ok"
