"""What every request and answer has in common: an id, safe headers, one line in the log, a count."""

from __future__ import annotations

import logging
import re
import time
from contextlib import ExitStack
from typing import Any

from flask import Flask, Response, g, request

from faas.domain.ids import uuid7
from faas.services.metrics import Metrics
from faas.telemetry import tracing
from faas.telemetry.logs import bind
from faas.web.context import metrics

_log = logging.getLogger("faas.web")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    # The pages are plain: one style sheet of our own, no script, no form.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def install(app: Flask) -> None:
    """Number, guard and log the requests of an application."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_leave)


def begin(state: Any, given: str) -> None:
    """Number a request.

    Args:
        state: what is known of the request at hand (Flask's `g`).
        given: its `X-Request-ID`, empty where there is none.
    """
    # A foreign id is taken only in a form that is safe in logs and headers.
    state.request_id = given if _REQUEST_ID.fullmatch(given) else uuid7()
    state.began = time.monotonic()


def end(state: Any, metrics: Metrics, method: str, route: str | None, status: int) -> None:
    """Count and log a request.

    Args:
        state: as for `begin`.
        route: the rule that matched; None where none did.
    """
    seconds = time.monotonic() - state.began
    metrics.answered(method, route, status, seconds)
    fields = {
        "request_id": state.request_id,
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    if "invocation_id" in state:
        fields["invocation_id"] = state.invocation_id
    _log.info("request", extra={"fields": fields})


def _begin() -> None:
    begin(g, request.headers.get("X-Request-ID", ""))
    # Every line that the services log for this request has its id.
    g.scope = ExitStack()
    traces = tracing.current()
    fields: dict[str, str] = {}
    if traces is not None:
        parent = {name: request.headers[name] for name in tracing.HEADERS if name in request.headers}
        g.trace = traces.request(request.method, parent)
        g.scope.callback(g.trace.end)
        fields = g.trace.fields
    g.scope.enter_context(bind(request_id=g.request_id, **fields))


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    route = request.url_rule.rule if request.url_rule else None
    if "trace" in g:
        g.trace.answered(request.method, route, response.status_code)
        response.headers["traceparent"] = g.trace.traceparent
    end(g, metrics(), request.method, route, response.status_code)
    return response


def _leave(_: BaseException | None) -> None:
    if "scope" in g:
        g.scope.close()
