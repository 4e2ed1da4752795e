"""JSON as RFC 8259 has it, and no more: what Python's own reader lets pass is refused here (API.md, "Precisions", which 4xx).

Numbers are kept exactly or refused. Text that PostgreSQL or JSON tools can't hold is refused with the field's name.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from faas.errors import BadRequest, Invalid

MAX_DEPTH = 200
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(raw: bytes) -> Any:
    """The value of a JSON text.

    Args:
        raw: the body as it came.

    Returns:
        What `json.loads` makes of it.

    Raises:
        BadRequest: it is not JSON: empty, not UTF-8 (or with a byte order mark), truncated, with a key twice, `NaN`, or nested over 200 deep.
        Invalid: it is JSON that can't be kept exactly: `1e400`, integers of more digits than Python reads, NUL, half a surrogate pair.
    """
    if not raw.strip():
        raise BadRequest("The body is empty.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    if text.startswith("\ufeff"):
        raise BadRequest("The body begins with a byte order mark.")
    _check_depth(raw)
    numbers = _Numbers()
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=numbers.read)
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except ValueError:
        # The interpreter refuses to read integers past sys.get_int_max_str_digits(), against quadratic time.
        raise Invalid({"body": ["An integer has too many digits."]}) from None
    # Valid UTF-8 without escapes has neither NUL (the reader refuses raw control characters) nor halves of pairs: most bodies skip the walk.
    if numbers.overflowed or b"\\u" in raw:
        _check_values(value, "")
    return value


class _Numbers:
    """Reads fractions and exponents, and remembers whether one was past what a double holds."""

    def __init__(self) -> None:
        self.overflowed = False

    def read(self, text: str) -> float:
        value = float(text)
        if math.isinf(value):
            self.overflowed = True
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadRequest("The body has an object with the same key twice.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not JSON: {name} is no number there.")


def _check_depth(raw: bytes) -> None:
    """Refuse deep nesting before the recursive reader sees it. Each round removes the innermost level of brackets, at the speed of C."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", raw).translate(_AS_SQUARE, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    # A few that are left over are for the reader to name as an error of syntax.
    if len(brackets) > MAX_DEPTH or b"[]" in brackets:
        raise BadRequest(f"The body is nested over {MAX_DEPTH} deep, or its brackets don't match.")


def _check_values(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float):
        if math.isinf(value):
            raise Invalid({path or "body": ["A number is out of the range of 64-bit floating point."]})
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_values(item, f"{path}.{number}" if path else str(number))
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, path)
            _check_values(item, f"{path}.{key}"[:200] if path else key[:200])


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise Invalid({path or "body": [r"Text must not hold \u0000."]})
    if _SURROGATE.search(text):
        raise Invalid({path or "body": ["Text must not hold half of a surrogate pair."]})
