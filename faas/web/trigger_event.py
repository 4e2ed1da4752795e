"""A request to `/fn/{name}` as the event that its function is given, and as the invocation that it makes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request

from faas.domain.function import PAYLOAD_BYTES, Function
from faas.errors import BadRequest, Invalid, TooLarge
from faas.services.requests import NewInvocation
from faas.web import cloudevents
from faas.web.event_text import as_text

# RFC 9110, section 7.6.1: what belongs to one connection; and what is about the body as it was sent.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OWN_KEY = re.compile(r"bearer\s+faas_", re.IGNORECASE)
_MOST_PARAMETERS = 1000


def invocation(function: Function, request: Request, path: str, body: bytes, key: str | None) -> NewInvocation:
    """What a request asks for.

    Args:
        path: what follows the function's name, decoded, with a `/` at its beginning.
        key: the request's `Idempotency-Key`. A CloudEvent without one has its `source` and `id` for one: its sender sends it again with both the same.

    Raises:
        BadRequest: the path or the query can't be kept. Invalid, UnsupportedMedia: see `cloudevents.read`. TooLarge: the event is.
    """
    made = event(request, path, body, keep_authorization=function.spec.http.public)
    if request.method == "POST" and (found := cloudevents.read(made["headers"], body)) is not None:
        made["cloudevent"] = found
        key = key or _event_key(function.id, found)
    text = json.dumps(made, separators=(",", ":"), allow_nan=False)
    if len(text) > PAYLOAD_BYTES and len(json.dumps(made, ensure_ascii=False).encode()) > PAYLOAD_BYTES:
        raise TooLarge(
            f"The event is over {PAYLOAD_BYTES} bytes of JSON; a body that is no text is a third longer there."
        )
    return NewInvocation(
        function=function.id,
        payload=text,
        headers={},
        idempotency_key=key,
        fingerprint=_fingerprint(function.id, made) if key is not None else b"",
    )


def event(request: Request, path: str, body: bytes, *, keep_authorization: bool) -> dict[str, Any]:
    """The event of a request: `method`, `path`, `query`, `query_string`, `headers`, `body`, `is_base64`."""
    text, is_base64 = as_text(body)
    query_string = request.query_string.decode("latin-1")
    if "\0" in path or "\ufffd" in path:
        raise BadRequest("The path must be UTF-8 without NUL.")
    return {
        "method": request.method,
        "path": path,
        "query": _query(query_string),
        "query_string": query_string,
        "headers": _headers(request, keep_authorization=keep_authorization),
        "body": text,
        "is_base64": is_base64,
    }


def _query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise BadRequest("The query must be UTF-8.") from None
    except ValueError:
        raise BadRequest(f"The query has over {_MOST_PARAMETERS} parameters.") from None
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise BadRequest("The query must not hold NUL.")
        query.setdefault(name, []).append(value)
    return query


def _headers(request: Request, *, keep_authorization: bool) -> dict[str, str]:
    """The headers with names in lower case; several of a name in one, as RFC 9110, section 5.3, has it."""
    dropped = HOP_BY_HOP | {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in dropped or (
            lower == "authorization" and not _may_see(value, keep_authorization=keep_authorization)
        ):
            continue
        if any(ord(character) < 32 and character != "\t" for character in value):
            raise Invalid({lower: ["Must not hold control characters."]})
        found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


def _may_see(authorization: str, *, keep_authorization: bool) -> bool:
    # A key of the platform would lie in the record, and the function could call with it.
    return keep_authorization and not _OWN_KEY.match(authorization)


def _event_key(function_id: str, found: dict[str, Any]) -> str:
    # Sources and ids may hold what a key may not, and more of it.
    whole = json.dumps([function_id, found["source"], found["id"]])
    return "cloudevent:" + hashlib.sha256(whole.encode()).hexdigest()


def _fingerprint(function_id: str, made: dict[str, Any]) -> bytes:
    """What makes two requests the same. Most headers differ each time (dates, traces); a CloudEvent is the same by its attributes."""
    parts = [function_id, made["method"], made["path"], made["query_string"], made["body"]]
    parts.append(made.get("cloudevent") or made["headers"].get("content-type"))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
