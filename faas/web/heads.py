"""The heads of requests in their usual form, read at the speed of C. Whatever has another form is gunicorn's to read, and to refuse."""

from __future__ import annotations

import io
import re
import select
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.parser import RequestParser

# Of what gunicorn takes (RFC 9112), what it takes as it stands: no escapes, no folding, no obsolete or ambiguous form of anything.
_HEAD = re.compile(
    rb"(GET|POST|PUT|DELETE) (/(?!/)[A-Za-z0-9._~/-]*)(?:\?([A-Za-z0-9._~=&%+:,-]*))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+:[\t -~]*\r\n)*)\r\n"
)
_LENGTH = re.compile(r"[0-9]{1,12}")
# These change how a message is cut, or what is known of the client.
_GUNICORNS = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE", "HTTP2-SETTINGS", "TRAILER", "TE"})
# What holds for a connection, whatever is asked over it.
_CONSTANT = (
    "wsgi.errors",
    "wsgi.version",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
    "wsgi.file_wrapper",
    "wsgi.input_terminated",
    "SERVER_SOFTWARE",
    "SERVER_PROTOCOL",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "REMOTE_ADDR",
    "REMOTE_PORT",
)
# A body that is sent apart from its head comes just after it. Room for so much of it is made at once, whatever length it claims to have.
_BODY_MS = 5
_BODY_BYTES = 1024 * 1024


class Usual:
    """A request that was read here, as gunicorn's own are to those who handle them.

    Attributes:
        environ: of WSGI, whole.
        is_read: whether nothing of it is left on the connection.
    """

    __slots__ = ("body", "environ", "is_read", "method")

    version = (1, 1)
    # Whoever looks for what only gunicorn handles finds nothing.
    headers = ()

    def __init__(self, environ: dict[str, Any], body: Any, *, is_read: bool) -> None:
        self.environ, self.body, self.is_read = environ, body, is_read
        self.method: str = environ["REQUEST_METHOD"]

    def should_close(self) -> bool:
        """It never asks for that: `Connection: close` is not usual."""
        return False


class Following(RequestParser):  # type: ignore[misc]
    """Reads what follows the first request of a connection, which was gunicorn's: that has shown what holds for the connection.

    Args:
        first: gunicorn's parser, after the first request.
        environ: the first request's.
    """

    def __init__(self, first: RequestParser, environ: Mapping[str, Any]) -> None:
        super().__init__(first.cfg, first.unreader.sock, first.source_addr)
        self.unreader, self.mesg, self.req_count = first.unreader, first.mesg, first.req_count
        self._constant = {name: environ[name] for name in _CONSTANT if name in environ}
        self._constant["wsgi.url_scheme"] = "https" if self.cfg.is_ssl else "http"
        self._gunicorns = _GUNICORNS | set(self.cfg.secure_scheme_headers)
        # Who calls again and again sends the same head again and again.
        self._last: tuple[bytes, dict[str, Any]] = (b"", {})

    def finish_body(self, *args: Any, **kwargs: Any) -> bool:
        """Whether nothing of the last request's body is left on the connection; takes off what is."""
        if isinstance(self.mesg, Usual) and self.mesg.is_read:
            return True
        return bool(super().finish_body(*args, **kwargs))

    def __next__(self) -> Any:
        if self.mesg.should_close() or not self.finish_body():
            raise StopIteration
        data = self.unreader.read()
        if not data:
            raise StopIteration
        usual = self._usual(data)
        if usual is None:
            self.unreader.unread(data)
            return super().__next__()
        self.mesg = usual
        self.req_count += 1
        return usual

    next = __next__

    def _usual(self, data: bytes) -> Usual | None:
        head, known = self._last
        if head and data.startswith(head):
            return self._with_body(known.copy(), data[len(head) :])
        match = _HEAD.match(data)
        # So no line is over the limit of one either.
        if match is None or match.end() > min(self.cfg.limit_request_line, self.cfg.limit_request_field_size):
            return None
        fields = self._fields(match[4].decode("ascii"))
        if fields is None:
            return None
        path, query = match[2].decode("ascii"), (match[3] or b"").decode("ascii")
        environ = {
            **self._constant,
            **fields,
            "REQUEST_METHOD": match[1].decode("ascii"),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "RAW_URI": path if match[3] is None else f"{path}?{query}",
        }
        self._last = (match[0], environ.copy())
        return self._with_body(environ, data[match.end() :])

    def _fields(self, text: str) -> dict[str, str] | None:
        lines = text.split("\r\n")
        if len(lines) > self.cfg.limit_request_fields:
            return None
        fields: dict[str, str] = {}
        for line in lines[:-1]:
            name, _, value = line.partition(":")
            upper, key = _names(name)
            if upper in self._gunicorns or key in fields:
                return None
            fields[key] = value.strip(" \t")
        if not _LENGTH.fullmatch(fields.get("CONTENT_LENGTH", "0")):
            return None
        return fields if fields.get("HTTP_CONNECTION", "keep-alive").lower() == "keep-alive" else None

    def _with_body(self, environ: dict[str, Any], data: bytes) -> Usual:
        length = int(environ.get("CONTENT_LENGTH", 0))
        if len(data) < length:
            data += self._more(length - len(data))
        if len(data) >= length:
            if len(data) > length:
                self.unreader.unread(data[length:])
            environ["wsgi.input"] = body = io.BytesIO(data[:length])
            return Usual(environ, body, is_read=True)
        self.unreader.unread(data)
        # Whoever reads it bounds how slowly it may come (`faas.web.slow_clients`).
        environ["gunicorn.socket"] = self.unreader.sock
        environ["wsgi.input"] = body = Body(LengthReader(self.unreader, length))
        return Usual(environ, body, is_read=False)

    def _more(self, most: int) -> bytes:
        """What comes within a moment."""
        poller = select.poll()
        poller.register(self.unreader.sock, select.POLLIN)
        return bytes(self.unreader.sock.recv(min(most, _BODY_BYTES))) if poller.poll(_BODY_MS) else b""


@lru_cache(maxsize=1000)
def _names(name: str) -> tuple[str, str]:
    """A field's name in capitals, and where WSGI has it."""
    upper = name.upper()
    key = upper.replace("-", "_")
    return upper, key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
