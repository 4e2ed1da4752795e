"""Answers on the wire: head and body in one piece, and what every answer says is not looked at each time."""

from __future__ import annotations

from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import Response

from faas.web.observe import HEADERS

_CONSTANT = frozenset(HEADERS.items())
# Longer ones are not copied to be sent together with their heads.
_ONE_PIECE = 64 * 1024


class Answer(Response):  # type: ignore[misc]
    """gunicorn's response, sent with fewer calls of the kernel."""

    headers_sent: bool

    def process_headers(self, headers: Any) -> None:
        """Look at the headers: those that every answer has were looked at when they were written."""
        for pair in headers:
            if pair in _CONSTANT:
                self.headers.append(pair)
            else:
                super().process_headers((pair,))

    def write(self, arg: bytes) -> None:
        """Send a piece of the body, and the head before the first."""
        if self.headers_sent or self._omits_body or self.response_length != len(arg) or len(arg) > _ONE_PIECE:
            super().write(arg)
            return
        lines = self.default_headers()
        lines.extend([f"{name}: {value}\r\n" for name, value in self.headers])
        lines.append("\r\n")
        self.headers_sent, self.sent = True, len(arg)
        util.write(self.sock, "".join(lines).encode("latin-1") + arg)
