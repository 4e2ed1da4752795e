"""Revisions, as workers keep them: one that can be claimed never changes."""

from __future__ import annotations

import functools

from faas.db.database import Database
from faas.db.functions import REVISION_COLUMNS, revision
from faas.domain.function import Revision
from faas.errors import NotFound

# A worker that serves more functions than that reads some of them again.
_KEPT = 4096
_SELECT = f"""SELECT f.id AS function_id, f.name AS function_name, f.namespace, {REVISION_COLUMNS}
    FROM functions f JOIN function_revisions r ON r.function_id = f.id WHERE f.id = %s AND r.number = %s"""


class Revisions:
    """Those that were asked for, the most recently used ones from memory; for one process, threads share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept = functools.lru_cache(_KEPT)(self._read)

    def get(self, function_id: str, number: int) -> Revision:
        """One that is built, of a function that may be deleted by now. Raises NotFound."""
        return self._kept(function_id, number)

    def _read(self, function_id: str, number: int) -> Revision:
        with self._database.autocommit() as tx:
            row = tx.one(_SELECT, (function_id, number))
        if row is None:
            raise NotFound(f"There is no revision {number} of the function {function_id}.")
        return revision(row)
