"""The calls of the API as values: what is sent for each thing that a caller wants. No I/O, and the same for both clients."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from faas.client.packing import pack
from faas.client.policy import Call

# The API holds an answer for 60 s at most; proxies in between are often less patient.
LONGEST_HOLD_S = 25.0
HANDLERS = {"python": "main.handler", "nodejs": "index.handler", "node": "index.handler", "go": "main"}
Duration = str | float | int | timedelta


def create_function(
    name: str, runtime: str, code: str | bytes | Path, handler: str | None, settings: Mapping[str, Any]
) -> Call:
    """`POST /functions`."""
    body = {"name": name, "runtime": runtime, "handler": handler or HANDLERS.get(runtime, ""), "code": encoded(code)}
    return Call("POST", "/functions", json={**body, **plain(settings)})


def update_function(ref: str, code: str | bytes | Path | None, changes: Mapping[str, Any]) -> Call:
    """`PUT /functions/{ref}`."""
    body = plain(changes)
    return Call("PUT", function_path(ref), json=body if code is None else {**body, "code": encoded(code)})


def invocation(
    function: str,
    payload: Any,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: Duration | None = None,
    delay: Duration | None = None,
    run_at: datetime | None = None,
    expires_in: Duration | None = None,
) -> dict[str, Any]:
    """The body of `POST /invoke`, and an item of a batch."""
    given = {
        "headers": dict(headers) if headers is not None else None,
        "timeout": timeout,
        "delay": delay,
        "run_at": run_at,
        "expires_in": expires_in,
    }
    return {"function_id": function, "payload": payload, **plain(given)}


def invoke(body: Mapping[str, Any], key: str | None, wait: float = 0.0) -> Call:
    """`POST /invoke`. Without a key of the caller's it gets one of its own, so that sending it again makes no second invocation."""
    headers = {"Idempotency-Key": key or new_key()}
    if wait > 0:
        headers["Prefer"] = f"wait={wait:.3f}"
    return Call("POST", "/invoke", json=dict(body), headers=headers, repeatable=True, hold=wait)


def get_function(ref: str) -> Call:
    """`GET /functions/{ref}`."""
    return Call("GET", function_path(ref), repeatable=True)


def delete_function(ref: str) -> Call:
    """`DELETE /functions/{ref}`."""
    return Call("DELETE", function_path(ref))


def page(path: str, given: Mapping[str, Any], cursor: str | None) -> Call:
    """A page of a list; the first where there is no cursor."""
    params = {name: value for name, value in {**given, "cursor": cursor}.items() if value is not None}
    return Call("GET", path, params=params, repeatable=True)


def batch(items: list[dict[str, Any]]) -> Call:
    """`POST /invoke/batch`."""
    key = {"Idempotency-Key": new_key()}
    return Call("POST", "/invoke/batch", json={"items": items}, headers=key, repeatable=True)


def read(invocation_id: str, wait: float = 0.0) -> Call:
    """`GET /invocations/{id}`."""
    params = {"wait": f"{wait:.3f}"} if wait > 0 else None
    return Call("GET", invocation_path(invocation_id), params=params, repeatable=True, hold=wait)


def replay(invocation_id: str, revision: str) -> Call:
    """`POST /invocations/{id}/replay`."""
    headers = {"Idempotency-Key": new_key()}
    path = f"{invocation_path(invocation_id)}/replay"
    return Call("POST", path, params={"revision": revision}, headers=headers, repeatable=True)


def cancel(invocation_id: str) -> Call:
    """`POST /invocations/{id}/cancel`."""
    return Call("POST", f"{invocation_path(invocation_id)}/cancel")


def events(invocation_id: str) -> Call:
    """`GET /invocations/{id}/events`."""
    return Call("GET", f"{invocation_path(invocation_id)}/events", repeatable=True)


def logs(invocation_id: str) -> Call:
    """`GET /invocations/{id}/logs`."""
    return Call("GET", f"{invocation_path(invocation_id)}/logs", repeatable=True)


def follow(invocation_id: str, last_event_id: str | None) -> Call:
    """`GET /invocations/{id}/logs?follow=true`. The server speaks every 10 s at least."""
    return _follow(invocation_path(invocation_id), last_event_id, {})


def follow_function(ref: str, last: int, last_event_id: str | None) -> Call:
    """`GET /functions/{ref}/logs?follow=true`."""
    return _follow(function_path(ref), last_event_id, {"limit": str(last)} if last else {})


def _follow(path: str, last_event_id: str | None, params: dict[str, str]) -> Call:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    params = {"follow": "true", **params}
    return Call("GET", f"{path}/logs", params=params, headers=headers, repeatable=True, hold=LONGEST_HOLD_S)


def stats(function: str | None, window: str, limit: int) -> Call:
    """`GET /stats`."""
    return page("/stats", {"function_id": function, "window": window, "limit": limit}, None)


def set_secret(name: str, value: str) -> Call:
    """`PUT /secrets/{name}`."""
    return Call("PUT", _secret_path(name), json={"value": value})


def list_secrets() -> Call:
    """`GET /secrets`."""
    return Call("GET", "/secrets", repeatable=True)


def delete_secret(name: str) -> Call:
    """`DELETE /secrets/{name}`."""
    return Call("DELETE", _secret_path(name))


def anything(
    method: str,
    path: str,
    json: Any,
    params: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
    hold: float,
) -> Call:
    """Any call; `GET` and what has an Idempotency-Key may be sent again."""
    names = {name.lower() for name in headers or ()}
    repeatable = method.upper() in ("GET", "HEAD", "OPTIONS") or "idempotency-key" in names
    return Call(method.upper(), path, json, params, dict(headers or {}), repeatable, hold)


def function_path(ref: str) -> str:
    """Where a function is."""
    return f"/functions/{quote(ref, safe='')}"


def invocation_path(invocation_id: str) -> str:
    """Where an invocation is."""
    return f"/invocations/{quote(invocation_id, safe='')}"


def _secret_path(name: str) -> str:
    return f"/secrets/{quote(name, safe='')}"


def new_key() -> str:
    """An Idempotency-Key that nobody else has."""
    return f"client-{uuid.uuid4().hex}"


def encoded(code: str | bytes | Path) -> str:
    """Base64 of source text, of the bytes of a source file or archive, or of a file or folder."""
    data = pack(code) if isinstance(code, Path) else code.encode() if isinstance(code, str) else code
    return base64.b64encode(data).decode("ascii")


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them; what is None is left out."""
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        # A time without a zone is the caller's own.
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
