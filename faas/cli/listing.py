"""Reading lists of the API page by page."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from faas.cli.context import App

_PAGE = 200


def items(app: App, path: str, limit: int, **filters: Any) -> list[dict[str, Any]]:
    """The newest `limit` items of a list; filters that are None are left out."""
    found: list[dict[str, Any]] = []
    cursor = None
    while len(found) < limit:
        page = app.get(path, limit=min(_PAGE, limit - len(found)), cursor=cursor, **filters)
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    return found


def moment_of(id_: str) -> datetime:
    """When an id was made, by the server's clock: the first 48 bits of a UUIDv7 are milliseconds (RFC 9562, section 5.7)."""
    return datetime.fromtimestamp((uuid.UUID(id_).int >> 80) / 1000, UTC)
