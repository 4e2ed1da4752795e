"""Answers on the wire: head and body in one piece, and what every answer says is not looked at each time."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import Response

from faas.web.observe import HEADERS

_CONSTANT = list(HEADERS.items())
_CONSTANT_TEXT = "".join(f"{name}: {value}\r\n" for name, value in _CONSTANT)
# Longer ones are not copied to be sent together with their heads.
_ONE_PIECE = 64 * 1024


class Answer(Response):  # type: ignore[misc]
    """gunicorn's response, sent with fewer calls of the kernel."""

    headers_sent: bool
    # Whether `headers` are to be followed by those that every answer has.
    _has_constant = False

    def process_headers(self, headers: Any) -> None:
        """Look at the headers; those that every answer of ours ends with were looked at when they were written."""
        self._has_constant = headers[-len(_CONSTANT) :] == _CONSTANT
        super().process_headers(headers[: -len(_CONSTANT)] if self._has_constant else headers)

    def default_headers(self) -> list[str]:
        """The first lines of the head: of gunicorn's making, but for a clock that is read as text once a second."""
        if self.upgrade or self.chunked:
            lines: list[str] = super().default_headers()
            return lines
        kept = "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        date = _date(int(time.time()))
        return [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {date}\r\nConnection: {kept}\r\n"
        ]

    def send_headers(self) -> None:
        """Send the head, where it is not sent yet."""
        if not self.headers_sent:
            util.write(self.sock, self._head())
            self.headers_sent = True

    def write(self, arg: bytes) -> None:
        """Send a piece of the body, and the head before the first."""
        if self.headers_sent or self._omits_body or self.response_length != len(arg) or len(arg) > _ONE_PIECE:
            super().write(arg)
            return
        self.headers_sent, self.sent = True, len(arg)
        util.write(self.sock, self._head() + arg)

    def _head(self) -> bytes:
        lines = self.default_headers()
        lines.extend([f"{name}: {value}\r\n" for name, value in self.headers])
        if self._has_constant:
            lines.append(_CONSTANT_TEXT)
        lines.append("\r\n")
        return "".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """A time of the Unix clock as HTTP has it."""
    return str(util.http_date(seconds))
