"""The body of a request: its media type, its size, and its JSON value."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from faas.domain.function import MIB, PACKED_BYTES, PAYLOAD_BYTES
from faas.errors import TooLarge, UnsupportedMedia
from faas.web import strict_json

# Base64 makes four bytes of three; the other fields take well under a MiB.
FUNCTION_BODY_BYTES = PACKED_BYTES * 4 // 3 + MIB
# The limit of a payload is on its UTF-8; a client may write each character as an escape, at most three times as long.
INVOKE_BODY_BYTES = 3 * PAYLOAD_BYTES + MIB


def read_json(limit: int) -> Any:
    """The JSON value of the request's body.

    Args:
        limit: most bytes to read; holds for bodies without Content-Length too.

    Raises:
        UnsupportedMedia: the body is not declared as plain `application/json`.
        TooLarge: it is over the limit.
        BadRequest, Invalid: see `strict_json.parse`.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMedia("The body must be sent as Content-Type: application/json.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMedia("The body must be UTF-8.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("The body must be sent without a Content-Encoding.")
    return strict_json.parse(_read(limit))


def _read(limit: int) -> bytes:
    request.max_content_length = limit
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(f"The body is over {limit} bytes.") from None
    except ClientDisconnected:
        raise
    except OSError:
        # The server's bound on a silent client (faas.web.gunicorn): the read gives up.
        raise RequestTimeout("The body did not arrive in time.") from None
