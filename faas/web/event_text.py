"""Bytes in JSON: as text where they are text, else in base64."""

from __future__ import annotations

import base64


def as_text(data: bytes) -> tuple[str, bool]:
    """The bytes as text, and whether that is base64.

    Text is UTF-8 without NUL, which neither PostgreSQL nor many readers of JSON hold.
    """
    if b"\0" not in data:
        try:
            return data.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(data).decode(), True
