"""Cursors of lists: the key of the last item, opaque to callers. A page is found by that key, never by an offset."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from faas.domain.ids import is_id
from faas.domain.invocation import Page
from faas.errors import Invalid

T = TypeVar("T")


def decode(cursor: str | None) -> str | None:
    """The id in a cursor. Raises Invalid for one that was not made here."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    if not is_id(text) or encode(text) != cursor:
        raise Invalid({"cursor": ["Not a cursor of this list."]})
    return text


def encode(key: str) -> str:
    """The cursor that goes on after the item with this id."""
    return base64.urlsafe_b64encode(key.encode("ascii")).decode("ascii").rstrip("=")


def page(rows: Sequence[Any], limit: int, build: Callable[[Any], T]) -> Page[T]:
    """A page of at most `limit` items out of `limit + 1` rows, each with an `id`."""
    more = len(rows) > limit
    kept = rows[:limit]
    return Page([build(row) for row in kept], encode(str(kept[-1].id)) if more else None)
