"""gunicorn's worker with threads: it bounds how long the head of a request may take, and answers what is no HTTP like everything else is answered."""

from __future__ import annotations

import json
import logging
import select
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import errors, wsgi
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import ThreadWorker

from faas.web.answers import Answer
from faas.web.heads import Following, Usual
from faas.web.observe import HEADERS
from faas.web.slow_clients import SlowClients

_log = logging.getLogger("faas.web")
_STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
# Faults of ours, of which gunicorn makes a 500.
_OURS = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


# A client that asks for one thing after another does so within this, on a busy machine too.
_NEXT_REQUEST_MS = 100


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log without a line for each request: ours has more (`faas.web.observe`), and gunicorn renders its own before it drops it."""

    def access(self, *_: Any) -> None:
        """Nothing."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """One process of the controller. `slow_clients` is set before it serves (`faas.web.gunicorn`)."""

    slow_clients: SlowClients
    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Half of the threads stay for those who come.
        self._may_stay = threading.Semaphore(self.cfg.threads // 2)

    def init_process(self) -> None:
        """Serve. In this process the settings don't change, and gunicorn looks each up in several steps, several times for each request."""
        settings: dict[str, Any] = self.cfg.__dict__
        settings.update({name: one.get() for name, one in self.cfg.settings.items()})
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """The requests of a connection that follow each other closely, in one thread: gunicorn's own way through its main loop, and through another
        thread's wake-up, is a fifth of what a short request costs."""
        kept = self._handle_one(conn)
        if kept is not True or not self._may_stay.acquire(blocking=False):
            return kept
        try:
            while kept is True and self._is_followed(conn):
                kept = self._handle_one(conn)
            return kept
        finally:
            self._may_stay.release()

    def _handle_one(self, conn: Any) -> Any:
        conn.head = self.slow_clients.head(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self.slow_clients.end(conn.head)

    def _is_followed(self, conn: Any) -> bool:
        """Whether the next request of a kept connection begins within a moment."""
        if not self.alive:
            return False
        if conn.parser.unreader.buf.getvalue():
            # Sent together with the last one: nothing more needs to come.
            return True
        poller = select.poll()
        poller.register(conn.sock, select.POLLIN)
        return bool(poller.poll(_NEXT_REQUEST_MS))

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer a request whose head is there. Returns whether the connection may be kept."""
        self.slow_clients.end(conn.head)
        answer, environ = self._begin(req, conn)
        try:
            pieces = self.wsgi(environ, answer.start_response)
            try:
                for piece in pieces:
                    answer.write(piece)
                answer.close()
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()
        except OSError:
            raise
        except (Exception, SystemExit) as error:
            if not answer.headers_sent:
                raise
            # Another answer in the middle of this one would be taken for a part of it.
            self.log.exception("Error handling request")
            util.close_graceful(conn.sock)
            raise StopIteration from error
        return not answer.should_close()

    def _begin(self, req: Any, conn: Any) -> tuple[Answer, dict[str, Any]]:
        """The answer to be, and the request as WSGI has it."""
        if isinstance(req, Usual):
            answer, environ = Answer(req, conn.sock, self.cfg), req.environ
        else:
            answer, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, response_class=Answer)
            environ["wsgi.multithread"] = True
            if type(conn.parser) is RequestParser and not environ["SCRIPT_NAME"] and req.version == Usual.version:
                conn.parser = Following(conn.parser, environ)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        if not self.alive or not self.cfg.keepalive or len(self.keepalived_conns) >= self.max_keepalived:
            answer.force_close()
        return answer, environ

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """gunicorn would answer what is no HTTP with a page that repeats it, without the headers that keep browsers from harm."""
        if not isinstance(exc, errors.ParseException) or isinstance(exc, _OURS):
            super().handle_error(req, client, addr, exc)
            return
        _log.warning(
            "refused what is no HTTP", extra={"fields": {"error": type(exc).__name__, "remote": addr and addr[0]}}
        )
        with suppress(OSError):
            client.sendall(_answer(_STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST)))


def _answer(status: HTTPStatus) -> bytes:
    detail = "The request is not what HTTP/1.1 allows, or over a limit of its head."
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(document, separators=(",", ":"))
    fields = {**HEADERS, "Content-Type": "application/problem+json", "Content-Length": len(body), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{body}".encode()
