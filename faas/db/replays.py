"""What is needed of an invocation to run it again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from faas.db.database import Database
from faas.db.invocations import Submission, missing
from faas.domain.ids import is_id
from faas.domain.invocation import Status

# A timeout that is the revision's own was not asked for: under another revision it is that one's.
_SOURCE = """
    SELECT i.id, i.function_id, i.revision, i.status, i.payload, i.headers, nullif(i.timeout_ms, r.timeout_ms) AS timeout_ms
    FROM invocations i LEFT JOIN function_revisions r ON r.function_id = i.function_id AND r.number = i.revision WHERE i.id = %s"""


@dataclass(frozen=True, slots=True)
class Source:
    """An invocation as it was asked for. `payload` is JSON text; `timeout_ms` None where none was asked for."""

    id: str
    function_id: str
    revision: int
    status: Status
    payload: str
    headers: dict[str, str]
    timeout_ms: int | None

    def submission(self, new_id: str, *, pinned: bool) -> Submission:
        """The same once more: under its own revision, or the newest."""
        return Submission(
            invocation_id=new_id,
            function=self.function_id,
            payload=self.payload,
            headers=self.headers,
            timeout_ms=self.timeout_ms,
            replay_of=self.id,
            revision=self.revision if pinned else None,
        )


def source(database: Database, invocation_id: str) -> Source:
    """One invocation to run again. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one(_SOURCE, (invocation_id,))
    if row is None:
        raise missing(invocation_id)
    return Source(
        id=str(row.id),
        function_id=str(row.function_id),
        revision=row.revision,
        status=Status(row.status),
        payload=row.payload,
        headers=json.loads(row.headers),
        timeout_ms=row.timeout_ms,
    )
