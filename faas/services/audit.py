"""The audit log of changes: a row in the database, and a line of the log `faas.audit`."""

from __future__ import annotations

import logging

from faas.db import audit
from faas.db.database import Database
from faas.domain.access import Caller
from faas.domain.audit import Entry
from faas.domain.invocation import Page
from faas.errors import DatabaseDown

log = logging.getLogger("faas.audit")


class Audit:
    """The use cases of the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, who: Caller, action: str, object_: str | None, remote: str | None, request_id: str) -> None:
        """Write down a change that was made. It can't be taken back, so a database that went away meanwhile leaves the line in the log alone."""
        about = {"key_id": who.key_id, "key_name": who.name, "remote": remote}
        log.info(
            "changed",
            extra={
                "fields": {
                    "action": action,
                    "object": object_,
                    "namespace": who.namespace,
                    "request_id": request_id,
                    **about,
                }
            },
        )
        try:
            audit.add(
                self._database, namespace=who.namespace, action=action, object_=object_, request_id=request_id, **about
            )
        except DatabaseDown as error:
            log.warning("a change is in this log alone: %s", error)

    def find(self, *, namespace: str | None, limit: int = 50, cursor: str | None = None) -> Page[Entry]:
        """A page of the changes of a namespace, or of all where it is None; newest first."""
        return audit.find(self._database, namespace=namespace, limit=limit, cursor=cursor)
