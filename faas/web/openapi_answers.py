"""The schemas of answers, and their examples, for the OpenAPI document."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from faas.domain.access import Scope
from faas.domain.function import FunctionState, Network, Runtime
from faas.domain.invocation import Status
from faas.domain.namespace import Quotas
from faas.domain.stats import Window

_INSTANT = {"type": "string", "format": "date-time"}
_MAYBE_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_ID = {"type": "string", "format": "uuid"}
_MAYBE_ID = {"type": ["string", "null"], "format": "uuid"}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_MAYBE_TEXT = {"type": ["string", "null"]}
_MAYBE_COUNT = {"type": ["integer", "null"], "minimum": 0}
_DURATION = {"type": "string", "description": "In Go's notation."}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object that always has all of its properties."""
    return {"type": "object", "required": list(properties), "properties": properties, **more}


def _words(enum: Any) -> dict[str, Any]:
    return {"type": "string", "enum": [word.value for word in enum]}


_CORS = {
    "oneOf": [
        _object(
            {
                "allow_origins": {"type": "array", "items": _TEXT},
                "allow_methods": {"type": "array", "items": _TEXT},
                "allow_headers": {"type": "array", "items": _TEXT},
                "max_age": _DURATION,
                "allow_credentials": {"type": "boolean"},
            }
        ),
        {"type": "null"},
    ]
}
_FUNCTION = _object(
    {
        "id": _ID,
        "name": _TEXT,
        "version": _TEXT,
        "revision": {"type": "integer", "minimum": 1, "description": "One more for every change."},
        "runtime": _words(Runtime),
        "handler": _TEXT,
        "timeout": _DURATION,
        "memory_mb": _COUNT,
        "cpus": {"type": "number"},
        "max_concurrency": _COUNT,
        "network": _words(Network),
        "retry": _object({"max_attempts": _COUNT, "backoff": _DURATION, "max_backoff": _DURATION}),
        "environment": {"type": "object", "additionalProperties": _TEXT},
        "metadata": {"type": "object"},
        "secrets": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "Names of variables to names of secrets; never values.",
        },
        "http": _object({"public": {"type": "boolean"}, "cors": _CORS}),
        "state": _words(FunctionState),
        "state_reason": {"type": ["string", "null"]},
        "code_digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "code_size": _COUNT,
        "created_at": _INSTANT,
        "updated_at": _INSTANT,
    }
)
_ERROR = {
    "oneOf": [
        _object({"type": _TEXT, "message": _TEXT, "stack_trace": {"type": "array", "items": _TEXT}}),
        {"type": "null"},
    ]
}
_ITEM: dict[str, Any] = {
    "id": _ID,
    "function_id": _ID,
    "function_name": _TEXT,
    "revision": _COUNT,
    "status": _words(Status),
    "error": _ERROR,
    "attempts": {**_COUNT, "description": "How often it was started."},
    "max_attempts": _COUNT,
    "created_at": _INSTANT,
    "started_at": _MAYBE_INSTANT,
    "finished_at": _MAYBE_INSTANT,
    "queue_ms": _MAYBE_COUNT,
    "init_ms": {**_MAYBE_COUNT, "description": "Loading the code on a cold start, else 0."},
    "duration_ms": _MAYBE_COUNT,
    "cold_start": {"type": ["boolean", "null"]},
    "memory_peak_mb": {"type": ["number", "null"]},
    "worker_id": {"type": ["string", "null"]},
    "run_at": {**_MAYBE_INSTANT, "description": "When it was asked to run."},
    "expires_at": {**_MAYBE_INSTANT, "description": "When it ends `cancelled` where it was not started."},
    "batch_id": _MAYBE_ID,
    "replay_of": {**_MAYBE_ID, "description": "The invocation that it runs again."},
}
_RECORD = {
    **_ITEM,
    "payload": {"description": "Any JSON."},
    "headers": {"type": "object", "additionalProperties": _TEXT},
    "result": {"description": "What the function returned; null unless succeeded."},
}

_WAITING = {
    "reason": {
        "type": "string",
        "enum": ["building", "delayed", "retry", "concurrency", "admission", "worker", "deleted"],
    },
    "until": _INSTANT,
    "limit": {**_COUNT, "description": "`max_concurrency`."},
    "used": {**_COUNT, "description": "How many are running or about to."},
    "position": {**_MAYBE_COUNT, "description": "1 for the next; null past 10,000."},
    "workers": {**_COUNT, "description": "How many workers are known."},
}
_EVENT = {
    "time": _INSTANT,
    "type": {
        "type": "string",
        "enum": [
            "accepted",
            "admitted",
            "published",
            "republished",
            "claimed",
            "retried",
            "handed_back",
            "cancel_requested",
            "ended",
        ],
    },
    "attempt": _COUNT,
    "worker_id": {"type": ["string", "null"]},
    "until": {**_INSTANT, "description": "When the next attempt was due: with the last `retried`."},
    "status": _words(Status),
    "error_type": {"type": ["string", "null"]},
}

_KEY: dict[str, Any] = {
    "id": _ID,
    "name": _TEXT,
    "prefix": {"type": "string", "description": "What may be shown of it."},
    "scopes": {"type": "array", "items": _words(Scope)},
    "created_at": _INSTANT,
    "expires_at": _MAYBE_INSTANT,
    "last_used_at": {**_MAYBE_INSTANT, "description": "To a minute."},
    "revoked_at": _MAYBE_INSTANT,
    "requests_per_minute": {**_MAYBE_COUNT, "description": "Null for any number."},
    "namespace": _TEXT,
}

_TIMES = _object(
    {name: {"type": ["number", "null"], "minimum": 0} for name in ("mean", "p50", "p95", "p99")},
    description="Milliseconds, to within a fifth; null where nothing was started.",
)
_STATS_ITEM = _object(
    {
        "function_id": _ID,
        "function_name": _TEXT,
        "ended": {**_COUNT, "description": "All that ended in the window."},
        **{status.value: _COUNT for status in Status if status.terminal},
        "platform_failures": {**_COUNT, "description": "Of the failed ones, those by a fault of the platform."},
        "cold_starts": _COUNT,
        "init_ms": {**_MAYBE_COUNT, "description": "Loading the code on a cold start, on the average."},
        "duration_ms": _TIMES,
        "queue_ms": _TIMES,
        "queued": {**_COUNT, "description": "Due and not running, now."},
        "running": {**_COUNT, "description": "Now."},
        "oldest_queued_ms": {**_COUNT, "description": "For how long the oldest that is queued has been due."},
        "series": {
            "type": "array",
            "items": _COUNT,
            "description": "How many ended in each `step_s` seconds of the window, oldest first.",
        },
    }
)

COMPONENTS: dict[str, dict[str, Any]] = {
    "Key": _object(_KEY),
    "NewKeyText": _object(
        {**_KEY, "key": {"type": "string", "description": "The key itself: keep it, it can't be had again."}}
    ),
    "Namespace": _object(
        {
            "name": _TEXT,
            "created_at": _INSTANT,
            "quotas": _object(
                {field.name: _MAYBE_COUNT for field in fields(Quotas)}, description="Null for as much as there is."
            ),
            "used": _object({"concurrent": _COUNT, "code_mb": _COUNT, "cpu_seconds_today": _COUNT}),
        }
    ),
    "Change": _object(
        {
            "id": _ID,
            "at": _INSTANT,
            "namespace": _TEXT,
            "key_id": {**_MAYBE_TEXT, "description": "Null on a server that was open."},
            "key_name": _MAYBE_TEXT,
            "action": {"type": "string", "example": "functions.create"},
            "object": {**_MAYBE_TEXT, "description": "The id or name of what was changed."},
            "remote": {**_MAYBE_TEXT, "description": "The address that the request came from."},
            "request_id": _TEXT,
        }
    ),
    "Function": _FUNCTION,
    "Secret": _object(
        {
            "name": _TEXT,
            "version": {"type": "integer", "minimum": 1, "description": "One more for every value."},
            "functions": {"type": "array", "items": _TEXT, "description": "Whose newest revision is given it."},
            "created_at": _INSTANT,
            "updated_at": _INSTANT,
        }
    ),
    "InvocationItem": _object(_ITEM),
    "Invocation": _object(_RECORD),
    "AcceptedInvocation": _object({"invocation_id": _ID, **_RECORD}),
    "AcceptedBatch": _object({"batch_id": _ID, "invocation_ids": {"type": "array", "items": _ID}}),
    "Counts": _object({status.value: _COUNT for status in Status}, description="With `batch_id` alone."),
    "History": _object(
        {
            "invocation_id": _ID,
            "status": _words(Status),
            "waiting_for": {
                "description": "Null where it is not queued.",
                "oneOf": [{"type": "object", "required": ["reason"], "properties": _WAITING}, {"type": "null"}],
            },
            "events": {
                "type": "array",
                "items": {"type": "object", "required": ["time", "type"], "properties": _EVENT},
            },
        }
    ),
    "Stats": _object(
        {
            "window": _words(Window),
            "since": _INSTANT,
            "until": {**_INSTANT, "description": "What ended later is not counted yet."},
            "lag_ms": {
                **_COUNT,
                "description": "How long ago that was. More than a few seconds: the clock does not run.",
            },
            "step_s": {"type": "integer", "minimum": 1},
            "items": {"type": "array", "items": _STATS_ITEM},
            "more": {"type": "boolean", "description": "There are others than these."},
        }
    ),
    "Health": _object(
        {
            "status": {"type": "string", "enum": ["ok", "degraded"]},
            "checks": {"type": "object", "additionalProperties": _TEXT},
        }
    ),
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "errors": {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
        },
    },
}

FUNCTION_EXAMPLE: dict[str, Any] = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "name": "hello",
    "version": "1.0.0",
    "revision": 1,
    "runtime": "python",
    "handler": "main.handler",
    "timeout": "30s",
    "memory_mb": 128,
    "cpus": 1.0,
    "max_concurrency": 10,
    "network": "none",
    "retry": {"max_attempts": 1, "backoff": "1s", "max_backoff": "1m"},
    "environment": {},
    "metadata": {},
    "secrets": {},
    "http": {"public": False, "cors": None},
    "state": "active",
    "state_reason": None,
    "code_digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "code_size": 46,
    "created_at": "2026-01-02T03:04:05.678Z",
    "updated_at": "2026-01-02T03:04:05.678Z",
}
INVOCATION_EXAMPLE: dict[str, Any] = {
    "id": "01890a5d-ac97-7b3e-9c11-0f5a3d2c1b0a",
    "function_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "function_name": "hello",
    "revision": 1,
    "status": "succeeded",
    "error": None,
    "attempts": 1,
    "max_attempts": 1,
    "created_at": "2026-01-02T03:04:06.000Z",
    "started_at": "2026-01-02T03:04:06.012Z",
    "finished_at": "2026-01-02T03:04:06.015Z",
    "queue_ms": 12,
    "init_ms": 0,
    "duration_ms": 2,
    "cold_start": False,
    "memory_peak_mb": 14.5,
    "worker_id": "worker-1",
    "run_at": None,
    "expires_at": None,
    "batch_id": None,
    "replay_of": None,
    "payload": {"name": "FaaS"},
    "headers": {},
    "result": "Hello, FaaS!",
}
QUEUED_EXAMPLE: dict[str, Any] = {
    "status": "queued",
    "attempts": 0,
    "started_at": None,
    "finished_at": None,
    "queue_ms": None,
    "init_ms": None,
    "duration_ms": None,
    "cold_start": None,
    "memory_peak_mb": None,
    "worker_id": None,
    "result": None,
}
BATCH_EXAMPLE: dict[str, Any] = {
    "batch_id": "01890a5d-ac97-7000-8c11-0f5a3d2c1b0a",
    "invocation_ids": [INVOCATION_EXAMPLE["id"]],
}
HISTORY_EXAMPLE: dict[str, Any] = {
    "invocation_id": INVOCATION_EXAMPLE["id"],
    "status": "queued",
    "waiting_for": {"reason": "concurrency", "limit": 10, "used": 10, "position": 3},
    "events": [{"time": INVOCATION_EXAMPLE["created_at"], "type": "accepted", "revision": 1}],
}
NAMESPACE_EXAMPLE: dict[str, Any] = {
    "name": "team-a",
    "created_at": INVOCATION_EXAMPLE["created_at"],
    "quotas": {
        "requests_per_minute": 600,
        "queued": 1000,
        "concurrent": 50,
        "code_mb": None,
        "cpu_seconds_per_day": 3600,
    },
    "used": {"concurrent": 20, "code_mb": 3, "cpu_seconds_today": 412},
}
NEW_KEY_EXAMPLE: dict[str, Any] = {
    "id": "01977d2c-7f4e-7d3a-9b62-0e1b7c9a4d55",
    "name": "billing",
    "prefix": "faas_3kTq9ZbYw1",
    "scopes": ["invoke"],
    "created_at": "2026-07-01T12:00:00.000Z",
    "expires_at": "2026-07-31T12:00:00.000Z",
    "last_used_at": None,
    "revoked_at": None,
    "requests_per_minute": None,
    "key": "faas_3kTq9ZbYw1_Jx0mT7QyV2cN5sR8dF1gH4kL6pZ9wB3eU0iOaXvCyEt",
}
SECRET_EXAMPLE: dict[str, Any] = {
    "name": "billing-db",
    "version": 2,
    "functions": ["hello"],
    "created_at": "2026-01-02T03:04:05.678Z",
    "updated_at": "2026-02-03T04:05:06.789Z",
}
STATS_EXAMPLE: dict[str, Any] = {
    "window": "5m",
    "since": "2026-01-02T03:00:00.000Z",
    "until": "2026-01-02T03:04:58.123Z",
    "lag_ms": 1200,
    "step_s": 10,
    "items": [
        {
            "function_id": FUNCTION_EXAMPLE["id"],
            "function_name": "hello",
            "ended": 1200,
            "succeeded": 1190,
            "failed": 8,
            "timed_out": 2,
            "cancelled": 0,
            "platform_failures": 0,
            "cold_starts": 3,
            "init_ms": 41,
            "duration_ms": {"mean": 12.4, "p50": 9.8, "p95": 28.0, "p99": 61.5},
            "queue_ms": {"mean": 2.1, "p50": 1.4, "p95": 6.2, "p99": 14.9},
            "queued": 0,
            "running": 2,
            "oldest_queued_ms": 0,
            "series": [40] * 30,
        }
    ],
    "more": False,
}
PROBLEM_EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "memory_mb: Must be from 32 to 4096.",
    "errors": {"memory_mb": ["Must be from 32 to 4096."]},
}
