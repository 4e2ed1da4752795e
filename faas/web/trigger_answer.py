"""What a function returned, as the answer to the request that was its event."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from flask import Response

from faas.domain.http import TOKEN
from faas.web.trigger_event import HOP_BY_HOP

_FIELDS = frozenset({"status", "headers", "body", "is_base64"})
# The server's own, and what would speak for the whole host: other functions and the platform's pages are on it too.
_DROPPED = HOP_BY_HOP | {
    "alt-svc",
    "clear-site-data",
    "date",
    "idempotent-replayed",
    "server",
    "service-worker-allowed",
    "strict-transport-security",
    "x-invocation-id",
    "x-request-id",
}
_BODILESS = (204, 205, 304)


class WrongAnswer(ValueError):
    """The function's answer can't be sent; the message names the field."""


def answer(result: Any) -> Response:
    """The answer that a result asks for; any other result as JSON with status 200.

    A result asks for an answer where it is an object with an integer `status` and with nothing but `headers`, `body` and `is_base64` beside it.

    Raises:
        WrongAnswer: it asks for one that can't be.
    """
    if not _is_answer(result):
        return Response(_json(result), 200, content_type="application/json")
    status = result["status"]
    if not 200 <= status <= 599:
        raise WrongAnswer("status: must be from 200 to 599.")
    content, content_type = _body(result)
    response = Response(b"" if status in _BODILESS else content, status)
    del response.headers["Content-Type"]
    _add_headers(response, result.get("headers"))
    if status not in _BODILESS and "Content-Type" not in response.headers:
        response.headers["Content-Type"] = content_type
    return response


def _is_answer(result: Any) -> bool:
    if not isinstance(result, dict) or not result.keys() <= _FIELDS:
        return False
    return isinstance(result.get("status"), int) and not isinstance(result["status"], bool)


def _body(result: dict[str, Any]) -> tuple[bytes, str]:
    body, is_base64 = result.get("body"), result.get("is_base64", False)
    if not isinstance(is_base64, bool):
        raise WrongAnswer("is_base64: must be true or false.")
    if is_base64:
        try:
            return base64.b64decode(body.encode("ascii"), validate=True), "application/octet-stream"  # type: ignore[union-attr]
        except (AttributeError, UnicodeEncodeError, binascii.Error):
            raise WrongAnswer("body: must be base64, as is_base64 says.") from None
    if body is None:
        return b"", "text/plain; charset=utf-8"
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return _json(body), "application/json"


def _add_headers(response: Response, headers: Any) -> None:
    if headers is None:
        return
    if not isinstance(headers, dict):
        raise WrongAnswer("headers: must be an object.")
    for name, given in headers.items():
        if not TOKEN.fullmatch(name):
            raise WrongAnswer(f"headers: {name[:60]!r} is no name of a header.")
        for value in given if isinstance(given, list) else [given]:
            text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if not isinstance(text, str) or not _is_value(text):
                raise WrongAnswer(f"headers.{name[:60]}: must be text without control characters, or a list of such.")
            if name.lower() not in _DROPPED:
                response.headers.add(name, text)


def _is_value(text: str) -> bool:
    # Latin-1 is what WSGI can send; a line break would end the header and begin another.
    return all(character == "\t" or 32 <= ord(character) < 127 or 160 <= ord(character) < 256 for character in text)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
