"""Lists as PostgreSQL's array literals (`'{a,b}'`). The driver would write a list of literals, which both sides read one by one: for the ends of many
attempts that was half of what writing them cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain(values: Iterable[Any]) -> str:
    """Numbers, ids, truth values, and words of ours: what needs no quotes."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Texts of any kind (but for the character 0, which PostgreSQL does not keep)."""
    return "{" + ",".join(["NULL" if one is None else _quoted(one) for one in values]) + "}"


def binary(values: Iterable[bytes | None]) -> str:
    """Bytes, for `bytea[]`."""
    return "{" + ",".join(["NULL" if one is None else f'"\\\\x{one.hex()}"' for one in values]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
