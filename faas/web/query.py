"""What a request says outside its body: the query's parameters, `Prefer`, `Idempotency-Key`, references in the path."""

from __future__ import annotations

import re

from flask import request

from faas.domain.function import NAME
from faas.domain.ids import is_id, looks_like_id
from faas.domain.invocation import Status
from faas.errors import Invalid

MAX_WAIT_S = 60.0
DEFAULT_LIMIT, MAX_LIMIT = 50, 200
_CURSOR = re.compile(r"[!-~]{1,1000}")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_KEY = re.compile(r"[ -~]{1,255}")
_PREFERENCE = re.compile(
    r'[\s,]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?\s*((?:;(?:"(?:[^"\\]|\\.)*"|[^,"])*)?)(?:,|$)'
)


def is_reference(text: str) -> bool:
    """Whether a function can have this id or name."""
    return is_id(text) or (NAME.fullmatch(text) is not None and not looks_like_id(text))


def text(name: str) -> str | None:
    """A parameter of the query, None when it is not there.

    Raises:
        Invalid: it is there twice, or holds what no text of ours holds.
    """
    values = request.args.getlist(name)
    if len(values) > 1:
        raise Invalid({name: ["Must be given once."]})
    if values and not values[0].isprintable():
        raise Invalid({name: ["Must be printable text."]})
    return values[0] if values else None


def limit() -> int:
    """`?limit=`, 50 when it is not there."""
    return count("limit", DEFAULT_LIMIT, MAX_LIMIT)


def count(name: str, default: int, most: int) -> int:
    """A parameter that is a number from 1 on."""
    value = text(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,3}", value, re.ASCII) or not 1 <= int(value) <= most:
        raise Invalid({name: [f"Must be an integer from 1 to {most}."]})
    return int(value)


def cursor() -> str | None:
    """`?cursor=`; only the services know what is in one."""
    value = text("cursor")
    if value is not None and not _CURSOR.fullmatch(value):
        raise Invalid({"cursor": ["Is not a cursor of this list."]})
    return value


def status() -> Status | None:
    """`?status=`."""
    value = text("status")
    if value is None:
        return None
    if value not in list(Status):
        raise Invalid({"status": [f"Must be one of {', '.join(Status)}."]})
    return Status(value)


def id_(name: str) -> str | None:
    """A parameter that is an id."""
    value = text(name)
    if value is not None and not is_id(value):
        raise Invalid({name: ["Must be an id."]})
    return value


def choice(name: str, words: tuple[str, ...]) -> str:
    """A parameter that is one of a few words; the first when it is not there."""
    value = text(name)
    if value is not None and value not in words:
        raise Invalid({name: [f"Must be one of {', '.join(words)}."]})
    return value or words[0]


def flag(name: str) -> bool:
    """A parameter that is `true` or `false`; false when it is not there."""
    value = text(name)
    if value not in (None, "true", "false"):
        raise Invalid({name: ["Must be true or false."]})
    return value == "true"


def wait() -> float:
    """`?wait=` in seconds, 0 when it is not there."""
    value = text("wait")
    if value is None:
        return 0.0
    if not _SECONDS.fullmatch(value) or float(value) > MAX_WAIT_S:
        raise Invalid({"wait": [f"Must be a number of seconds from 0 to {MAX_WAIT_S:g}."]})
    return float(value)


def preferred_wait() -> float:
    """`wait` of the request's `Prefer`, see `wait_of`."""
    return wait_of(request.headers.get("Prefer", ""))


def wait_of(header: str) -> float:
    """`wait` of a `Prefer` (RFC 7240) in seconds, at most 60; 0 where there is no usable one."""
    at = 0
    while at < len(header) and (match := _PREFERENCE.match(header, at)):
        at = match.end()
        # Section 2: the first of several counts, whatever its value.
        if match[1].lower() == "wait":
            value = (match[2] or "").strip('"')
            return min(float(value), MAX_WAIT_S) if _SECONDS.fullmatch(value) else 0.0
    return 0.0


def idempotency_key() -> str | None:
    """The request's `Idempotency-Key`, see `key_of`."""
    return key_of(request.headers.get("Idempotency-Key"))


def key_of(value: str | None) -> str | None:
    """An `Idempotency-Key` as it may be; None when it is not there.

    Raises:
        Invalid: it is not 1 to 255 printable ASCII characters.
    """
    if value is not None and not _KEY.fullmatch(value):
        raise Invalid({"Idempotency-Key": ["Must be 1 to 255 printable ASCII characters."]})
    return value
