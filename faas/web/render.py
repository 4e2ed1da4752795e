"""Functions and invocations as the answers show them (API.md's tables), and JSON answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Response

from faas.domain.duration import format_duration
from faas.domain.function import Function
from faas.domain.http import Http, to_json
from faas.domain.invocation import Invocation, Page
from faas.domain.secret import SecretRecord

T = TypeVar("T")
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def json_answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """An answer with a JSON body."""
    return answer(text(value), status, headers, media_type)


def answer(
    body: str, status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """An answer whose body is JSON already."""
    return Response(body, status, dict(headers or {}), content_type=media_type)


def text(value: Any) -> str:
    """A value in JSON. ASCII, so that every client reads it whatever it takes for the encoding."""
    return _ENCODER.encode(value)


def page(found: Page[T], show: Callable[[T], dict[str, Any]], **more: Any) -> Response:
    """One page of a list, with what else there is to say of the whole."""
    return json_answer({"items": [show(item) for item in found.items], "next_cursor": found.next_cursor, **more})


def function(value: Function) -> dict[str, Any]:
    """A function; its code is never shown."""
    spec = value.spec
    return {
        "id": value.id,
        "name": value.name,
        "version": spec.version,
        "revision": value.revision,
        "runtime": spec.runtime.value,
        "handler": spec.handler,
        "timeout": format_duration(spec.timeout_ms),
        "memory_mb": spec.memory_mb,
        "cpus": spec.cpus,
        "max_concurrency": spec.max_concurrency,
        "network": spec.network.value,
        "retry": {
            "max_attempts": spec.retry.max_attempts,
            "backoff": format_duration(spec.retry.backoff_ms),
            "max_backoff": format_duration(spec.retry.max_backoff_ms),
        },
        "environment": spec.environment,
        "metadata": spec.metadata,
        "secrets": spec.secrets,
        "http": _http(spec.http),
        "state": value.state.value,
        "state_reason": value.state_reason,
        "code_digest": value.code_digest,
        "code_size": value.code_size,
        "created_at": instant(value.created_at),
        "updated_at": instant(value.updated_at),
    }


def _http(value: Http) -> dict[str, Any]:
    shown = to_json(value)
    cors = shown.get("cors")
    if cors is not None:
        cors["max_age"] = format_duration(cors.pop("max_age_ms"))
    return {"public": value.public, "cors": cors}


def secret(value: SecretRecord) -> dict[str, Any]:
    """What is told of a secret; its value is no part of the record."""
    return {
        "name": value.name,
        "version": value.version,
        "functions": list(value.functions),
        "created_at": instant(value.created_at),
        "updated_at": instant(value.updated_at),
    }


def invocation(value: Invocation) -> dict[str, Any]:
    """An invocation, whole."""
    shown = invocation_item(value)
    return {**shown, "payload": value.payload, "headers": value.headers or {}, "result": value.result}


def invocation_item(value: Invocation) -> dict[str, Any]:
    """An invocation as an item of a list: without `payload`, `headers` and `result`."""
    return {
        "id": value.id,
        "function_id": value.function_id,
        "function_name": value.function_name,
        "revision": value.revision,
        "status": value.status.value,
        "error": value.error,
        "attempts": value.attempts,
        "max_attempts": value.max_attempts,
        "created_at": instant(value.created_at),
        "started_at": instant(value.started_at),
        "finished_at": instant(value.finished_at),
        "queue_ms": value.queue_ms,
        "init_ms": value.init_ms,
        "duration_ms": value.duration_ms,
        "cold_start": value.cold_start,
        "memory_peak_mb": value.memory_peak_mb,
        "worker_id": value.worker_id,
        "run_at": instant(value.run_at),
        "expires_at": instant(value.expires_at),
        "batch_id": value.batch_id,
        "replay_of": value.replay_of,
    }


def instant(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
