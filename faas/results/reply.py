"""What whoever waits for one invocation is sent when it ends: the fields of the record that were open when it was accepted.

The request that waits knows the rest, so it needs no look into the database. A wake-up alone, and a look, is what it gets where the reply is lost, or
where an earlier attempt was sent instead of this one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from faas.db.attempts import Finished
from faas.domain.invocation import Claim, Invocation, Status
from faas.domain.outcome import Outcome

# Larger ones are read from the database: Redis is no place for them.
_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to be sent: to a channel, of an attempt and its outcome."""

    channel: str
    claim: Claim
    outcome: Outcome

    def render(self, finished: Finished) -> tuple[str, str]:
        """The channel, and the message: the id, and where it is small enough the fields behind it."""
        claim, outcome = self.claim, self.outcome
        result = outcome.result if outcome.result is not None else "null"
        if len(result) > _BYTES:
            return self.channel, claim.invocation_id
        fields = {
            "status": finished.status,
            "error": asdict(outcome.failure) if outcome.failure and finished.status is not Status.CANCELLED else None,
            "attempts": claim.attempt,
            "max_attempts": claim.max_attempts,
            "started_at": claim.started_at.isoformat() if claim.started_at else None,
            "finished_at": finished.at.isoformat(),
            "queue_ms": claim.queue_ms,
            "init_ms": outcome.init_ms,
            "duration_ms": outcome.duration_ms,
            "cold_start": outcome.cold_start,
            "memory_peak_mb": outcome.memory_peak_mb,
            "worker_id": claim.worker,
        }
        return self.channel, f'{claim.invocation_id} {json.dumps(fields)[:-1]}, "result": {result}}}'


def record(accepted: Invocation, fields: str) -> Invocation:
    """The record of an invocation that has ended.

    Args:
        accepted: as it was accepted.
        fields: what stands behind the id in a reply.
    """
    given: dict[str, Any] = json.loads(fields)
    for name in ("started_at", "finished_at"):
        given[name] = datetime.fromisoformat(given[name]) if given[name] else None
    return replace(accepted, **{**given, "status": Status(given["status"])})
