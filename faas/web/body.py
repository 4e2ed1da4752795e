"""The body of a request: its media type, its size, and its JSON value."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from faas.domain.function import KIB, MIB, PACKED_BYTES, PAYLOAD_BYTES
from faas.errors import BadRequest, TooLarge, UnsupportedMedia
from faas.web import strict_json
from faas.web.context import reading_body

# Base64 makes four bytes of three; the other fields take well under a MiB.
FUNCTION_BODY_BYTES = PACKED_BYTES * 4 // 3 + MIB
# The limit of a payload is on its UTF-8; a client may write each character as an escape, at most three times as long.
INVOKE_BODY_BYTES = 3 * PAYLOAD_BYTES + MIB
# Of all payloads of a batch together.
BATCH_BODY_BYTES = 32 * MIB
# How much of a refused body is read and thrown away, and for how long: closing on a client in the middle of sending loses it the answer.
DISCARD_BYTES = 128 * MIB
DISCARD_SECONDS = 10.0
_PIECE = 256 * KIB


def install(app: Flask) -> None:
    """Take the unread rest of every request's body off the connection before the answer."""
    app.after_request(_discard)


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
    return strict_json.parse(read_bytes(limit))


def read_bytes(limit: int) -> bytes:
    """The request's body as it came, whatever it is.

    Raises:
        TooLarge: it is over the limit. BadRequest: it ended too early.
    """
    # One more than the limit: without a Content-Length, werkzeug cuts a body off there and says nothing.
    request.max_content_length = limit + 1
    reading = None
    try:
        with reading_body() as reading:
            data = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(f"The body is over {limit} bytes.") from None
    except (ClientDisconnected, ParseException) as error:
        # The server's bound on a silent client (faas.web.gunicorn) ends a read like this; werkzeug takes it for a client that left.
        if isinstance(error.__context__, BlockingIOError) or (reading is not None and reading.cut):
            raise RequestTimeout("The body did not arrive in time.") from None
        raise BadRequest("The body ended too early, or is cut in pieces wrongly.") from None
    # gunicorn gives what there is of a body whose client stopped sending; the beginning of one may be JSON too.
    if len(data) < (request.content_length or 0):
        if reading is not None and reading.cut:
            raise RequestTimeout("The body did not arrive in time.")
        raise BadRequest("The body ended too early.")
    if len(data) > limit:
        raise TooLarge(f"The body is over {limit} bytes.")
    return data


def _discard(response: Response) -> Response:
    stream = request.environ["wsgi.input"]
    # Other servers give a stream that does not end with the body.
    if not request.environ.get("wsgi.input_terminated"):
        return response
    left, deadline = DISCARD_BYTES, time.monotonic() + DISCARD_SECONDS
    try:
        with reading_body():
            while left > 0 and time.monotonic() < deadline and (piece := stream.read(min(left, _PIECE))):
                left -= len(piece)
    except (OSError, ValueError, ParseException):
        # The client left, or what it sends is not HTTP: the server closes the connection.
        return response
    return response
