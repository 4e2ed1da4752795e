"""CORS at `/fn/{name}` (WHATWG Fetch, "CORS protocol"): preflights, and the headers of answers."""

from __future__ import annotations

from flask import Response, request
from werkzeug.datastructures import Headers

from faas.domain.http import ANY, METHODS, Cors

_EXPOSED = "X-Invocation-Id, X-Request-ID, Idempotent-Replayed"


def is_preflight() -> bool:
    """Whether a browser asks whether it may send the request that it names."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def preflight(cors: Cors) -> Response:
    """The answer to a preflight. A browser sends no key with one. Where the origin is not allowed, it says nothing: the browser refuses by that."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers.add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
    if not cors.allows(request.headers["Origin"]):
        return response
    methods = METHODS if ANY in cors.allow_methods else cors.allow_methods
    response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
    # Names that were asked for, and no `*`: that does not cover `Authorization`, and nothing where credentials are sent.
    asked = request.headers.get("Access-Control-Request-Headers", "")
    names = asked if ANY in cors.allow_headers else ", ".join(cors.allow_headers)
    if names:
        response.headers["Access-Control-Allow-Headers"] = names
    response.headers["Access-Control-Max-Age"] = str(cors.max_age_ms // 1000)
    return response


def strip(headers: Headers) -> None:
    """Drop what the function itself says of CORS: its settings decide, not both."""
    for name in {name for name in headers.keys() if name.lower().startswith("access-control-")}:  # noqa: SIM118
        headers.remove(name)


def allow(cors: Cors, headers: Headers) -> None:
    """Let a page of an allowed origin read an answer, a problem document too."""
    if ANY not in cors.allow_origins and request.method != "OPTIONS":
        headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin is None or not cors.allows(origin):
        return
    headers["Access-Control-Allow-Origin"] = ANY if ANY in cors.allow_origins else origin
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if cors.allow_credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
