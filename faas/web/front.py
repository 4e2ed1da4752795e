"""`POST /invoke` in its usual form, ahead of Flask: the same functions, without what Flask does around every request.

Flask still answers everything else, and every refusal: what is known of a request is handed over to it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from flask import Flask, g

from faas.domain.access import Scope
from faas.telemetry import tracing
from faas.telemetry.logs import bind
from faas.web import auth, observe, strict_json
from faas.web.body import INVOKE_BODY_BYTES
from faas.web.context import services
from faas.web.invocations import accept

_PATH, _ENDPOINT = "/invoke", "invocations.invoke"
# Names that Flask's routing takes; it refuses some others.
_HOST = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}(?::[0-9]{1,5})?")
_STATUSES = {200: "200 OK", 202: "202 ACCEPTED"}
_CONSTANT = tuple(observe.HEADERS.items())


class Front:
    """A WSGI application around Flask's.

    Args:
        app: all whose hooks are installed; Flask's part is the `wsgi_app` that it has now.
    """

    def __init__(self, app: Flask) -> None:
        self._app, self._flask = app, app.wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = _usual(environ)
        if body is None:
            return self._flask(environ, start_response)
        state = self._app.app_ctx_globals_class()
        observe.begin(state, environ.get("HTTP_X_REQUEST_ID", ""))
        with bind(request_id=state.request_id):
            try:
                status, headers, text = self._invoke(environ, state, body)
            except Exception as error:
                return self._refuse(environ, start_response, state, error)
            answer = text.encode()
            own = [
                *headers.items(),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(answer))),
                *auth.rate_headers(state).items(),
                ("X-Request-ID", state.request_id),
            ]
            observe.end(state, services(self._app).metrics, "POST", _PATH, status)
        start_response(_STATUSES[status], [*own, *_CONSTANT])
        return [answer]

    def _invoke(self, environ: dict[str, Any], state: Any, body: bytes) -> tuple[int, dict[str, str], str]:
        key = auth.bearer(environ.get("HTTP_AUTHORIZATION"))
        auth.admit(state, services(self._app), _ENDPOINT, Scope.INVOKE, key)
        return accept(state, _headers(environ), lambda: strict_json.parse(body), self._app)

    def _refuse(
        self, environ: dict[str, Any], start_response: Callable[..., Any], state: Any, error: Exception
    ) -> Iterable[bytes]:
        with self._app.request_context(environ):
            vars(g._get_current_object()).update(vars(state))
            response = self._app.finalize_request(self._app.handle_user_exception(error))
            return response(environ, start_response)


def _usual(environ: dict[str, Any]) -> bytes | None:
    """The body of a request that is all here and has nothing that needs a look; None for every other."""
    stream = environ["wsgi.input"]
    if (
        environ.get("PATH_INFO") != _PATH
        or environ["REQUEST_METHOD"] != "POST"
        or environ.get("CONTENT_TYPE") != "application/json"
        or environ.get("SCRIPT_NAME")
        or type(stream) is not io.BytesIO
        or "HTTP_CONTENT_ENCODING" in environ
        or "HTTP_TRANSFER_ENCODING" in environ
        or not _is_host(environ.get("HTTP_HOST", ""))
        or tracing.current() is not None
    ):
        return None
    body = stream.getvalue()
    return body if environ.get("CONTENT_LENGTH") == str(len(body)) and len(body) <= INVOKE_BODY_BYTES else None


@lru_cache(maxsize=1000)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def _headers(environ: dict[str, Any]) -> Callable[[str], str | None]:
    def header(name: str) -> str | None:
        value: str | None = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value

    return header
