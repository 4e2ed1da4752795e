"""The OpenAPI 3.1 document, made from the schemas that validate requests and the tables of `faas.web.render`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from faas.domain.access import Scope
from faas.domain.invocation import Status
from faas.domain.stats import Window
from faas.web import openapi_trigger, schemas
from faas.web.http_schemas import CorsSchema, HttpSchema
from faas.web.openapi_answers import (
    BATCH_EXAMPLE,
    COMPONENTS,
    FUNCTION_EXAMPLE,
    HISTORY_EXAMPLE,
    INVOCATION_EXAMPLE,
    NAMESPACE_EXAMPLE,
    NEW_KEY_EXAMPLE,
    PROBLEM_EXAMPLE,
    QUEUED_EXAMPLE,
    SECRET_EXAMPLE,
    STATS_EXAMPLE,
)

_DESCRIPTION = (
    "Deploy Python, Node.js or Go code, invoke it, and get back a durable record of what happened. Times are RFC 3339 in UTC with "
    "milliseconds; durations are text in Go's notation, and a bare number means seconds; errors are RFC 9457 problem documents."
)
_KEY = "An API key. A server that no key was ever made for, and that listens on a loopback address, takes calls without one."
_UUID = {"type": "string", "format": "uuid"}
_PROBLEMS = {
    400: "The body is not JSON.",
    404: "There is no such thing.",
    409: "A conflict: the name is taken, or the state forbids it.",
    413: "Over a size.",
    415: "Another media type than `application/json`.",
    422: "A field or parameter is missing, unknown, read-only, of the wrong type or out of bounds.",
    401: "A key is needed, or this one is not good (any more).",
    429: "The key has made all its calls of this minute; `Retry-After` says when to come back.",
    403: "The key lacks the scope that the call asks for.",
    503: "The platform can't do it at the moment; `Retry-After` says when to come back.",
}

_PATH_PARAMETERS = {
    "ref": "The function's id or name.",
    "id": "The id.",
    "name": "The name.",
    "rest": "The event's path, any number of segments.",
    "namespace": "The function's namespace.",
}

# Roles, as OpenAPI 3.1 calls them, of the bearer's key; the same that `faas.web.auth` asks for. What is not here is for everybody.
_SCOPES = {
    "createFunction": Scope.FUNCTIONS_WRITE,
    "updateFunction": Scope.FUNCTIONS_WRITE,
    "deleteFunction": Scope.FUNCTIONS_WRITE,
    "listFunctions": Scope.FUNCTIONS_READ,
    "getFunction": Scope.FUNCTIONS_READ,
    "invoke": Scope.INVOKE,
    "invokeBatch": Scope.INVOKE,
    "replayInvocation": Scope.INVOKE,
    "replayInvocations": Scope.INVOKE,
    "cancelInvocation": Scope.INVOKE,
    "getInvocation": Scope.INVOCATIONS_READ,
    "listInvocations": Scope.INVOCATIONS_READ,
    "getEvents": Scope.INVOCATIONS_READ,
    "getLogs": Scope.INVOCATIONS_READ,
    "getFunctionLogs": Scope.INVOCATIONS_READ,
    "metrics": Scope.INVOCATIONS_READ,
    "getStats": Scope.INVOCATIONS_READ,
    "putSecret": Scope.FUNCTIONS_WRITE,
    "deleteSecret": Scope.FUNCTIONS_WRITE,
    "listSecrets": Scope.FUNCTIONS_READ,
    "createKey": Scope.ADMIN,
    "listKeys": Scope.ADMIN,
    "revokeKey": Scope.ADMIN,
    "createNamespace": Scope.ADMIN,
    "listNamespaces": Scope.ADMIN,
    "setQuotas": Scope.ADMIN,
    "listChanges": Scope.ADMIN,
}


def document() -> dict[str, Any]:
    """The whole document, as plain values."""
    spec = APISpec(
        "FaaS platform",
        version("faas-platform"),
        "3.1.0",
        plugins=[MarshmallowPlugin()],
        info={"description": _DESCRIPTION},
    )
    spec.components.schema("Retry", schema=schemas.RetrySchema)
    spec.components.schema("Cors", schema=CorsSchema)
    spec.components.schema("Http", schema=HttpSchema)
    spec.components.schema("NewFunction", schema=schemas.FUNCTION)
    spec.components.schema("FunctionChanges", schema=schemas.CHANGES)
    spec.components.schema("NewInvocation", schema=schemas.INVOKE)
    spec.components.schema("NewBatch", schema=schemas.BATCH)
    spec.components.schema("ReplayMany", schema=schemas.REPLAY)
    spec.components.schema("NewKey", schema=schemas.KEY)
    spec.components.schema("NewNamespace", schema=schemas.NAMESPACE)
    spec.components.schema("Quotas", schema=schemas.QUOTAS)
    spec.components.schema("SecretValue", schema=schemas.SECRET)
    spec.components.security_scheme("key", {"type": "http", "scheme": "bearer", "description": _KEY})
    for name, component in COMPONENTS.items():
        spec.components.schema(name, component)
    for name, component in openapi_trigger.COMPONENTS.items():
        spec.components.schema(name, component)
    for status, description in (_PROBLEMS | openapi_trigger.PROBLEMS).items():
        spec.components.response(f"Problem{status}", _problem(status, description))
    for tag, description in (
        ("functions", "Code and its settings."),
        ("invocations", "Calls and their records."),
        ("http", "Functions as plain HTTP."),
        ("secrets", "Text that functions are given and nobody is shown."),
        ("keys", "API keys."),
        ("platform", "The platform itself."),
    ):
        spec.tag({"name": tag, "description": description})
    every = _functions() | _accepting() | _records() | openapi_trigger.paths() | _secrets() | _keys() | _platform()
    for path, operations in every.items():
        parameters = [_path_parameter(name) for name in _PATH_PARAMETERS if f"{{{name}}}" in path]
        spec.path(path=path, operations=operations, parameters=parameters)
    result: dict[str, Any] = spec.to_dict()
    return result


def _functions() -> dict[str, dict[str, Any]]:
    one = _json("The function.", "Function", FUNCTION_EXAMPLE)
    name = _query("name", "The exact name.", {"type": "string"})
    return {
        "/functions": {
            "post": _operation(
                "createFunction",
                "Create a function",
                "functions",
                {201: one | _location("The function.")},
                (400, 409, 413, 415, 422),
                body="NewFunction",
            ),
            "get": _operation(
                "listFunctions",
                "List functions, newest first",
                "functions",
                {200: _list("Function")},
                (422,),
                [name, *_paging()],
            ),
        },
        "/functions/{ref}": {
            "get": _operation("getFunction", "One function", "functions", {200: one}, (404,)),
            "put": _operation(
                "updateFunction",
                "Change any subset of a function's fields: makes a new immutable revision",
                "functions",
                {200: one},
                (400, 404, 409, 413, 415, 422),
                body="FunctionChanges",
            ),
            "delete": _operation(
                "deleteFunction",
                "Delete a function: its queued invocations end cancelled, running ones finish",
                "functions",
                {204: {"description": "It is gone."}},
                (404,),
            ),
        },
    }


def _accepting() -> dict[str, dict[str, Any]]:
    queued = {"invocation_id": INVOCATION_EXAMPLE["id"], **INVOCATION_EXAMPLE, **QUEUED_EXAMPLE}
    accepted = _json("Accepted.", "AcceptedInvocation", queued)
    ended = {"invocation_id": INVOCATION_EXAMPLE["id"], **INVOCATION_EXAMPLE}
    held = _json("It ended while the answer was held (`Prefer: wait`).", "AcceptedInvocation", ended)
    prefer = _header("Prefer", "`wait=10` holds the answer for up to that many seconds, at most 60 (RFC 7240).")
    key = _header(
        "Idempotency-Key",
        "The same key with the same request is accepted once, for 24 h.",
        {"type": "string", "maxLength": 255},
    )
    revision = _query(
        "revision",
        "Its own revision, or the function's newest.",
        {"type": "string", "enum": ["pinned", "newest"], "default": "pinned"},
    )
    return {
        "/invoke": {
            "post": _operation(
                "invoke",
                "Accept an invocation",
                "invocations",
                {200: held, 202: accepted | _location("The invocation.")},
                (400, 404, 409, 413, 415, 422),
                [prefer, key],
                body="NewInvocation",
            )
        },
        "/invoke/batch": {
            "post": _operation(
                "invokeBatch",
                "Accept up to 1,000 invocations, all or none",
                "invocations",
                {202: _json("All are accepted.", "AcceptedBatch", BATCH_EXAMPLE) | _location("Its invocations.")},
                (400, 404, 409, 413, 415, 422),
                [key],
                body="NewBatch",
            )
        },
        "/invocations/replay": {
            "post": _operation(
                "replayInvocations",
                "Run again, as a batch, the oldest of those that ended in one way and were not run again yet",
                "invocations",
                {202: _json("All of them.", "AcceptedBatch", BATCH_EXAMPLE) | _location("The new invocations.")},
                (400, 404, 413, 415, 422),
                body="ReplayMany",
            )
        },
        "/invocations/{id}/replay": {
            "post": _operation(
                "replayInvocation",
                "Run an invocation that has ended once more, as a new one",
                "invocations",
                {202: accepted | _location("The new invocation.")},
                (404, 409, 422),
                [revision, key],
            )
        },
    }


def _records() -> dict[str, dict[str, Any]]:
    record = _json("The invocation.", "Invocation", INVOCATION_EXAMPLE)
    statuses = [status.value for status in Status]
    filters = [
        _query("function_id", "A function's id or name.", {"type": "string"}),
        _query("status", "Only those with this status.", {"type": "string", "enum": statuses}),
        _query("batch_id", "Only those of a batch; `counts` then tells how many of it have each status.", _UUID),
    ]
    wait = _query(
        "wait",
        "Seconds to hold the answer until the invocation is terminal.",
        {"type": "number", "minimum": 0, "maximum": 60, "default": 0},
    )
    return {
        "/invocations": {
            "get": _operation(
                "listInvocations",
                "List invocations, newest first",
                "invocations",
                {200: _list("InvocationItem", counts=_ref("Counts"))},
                (422,),
                [*filters, *_paging()],
            )
        },
        "/invocations/{id}": {
            "get": _operation("getInvocation", "One invocation", "invocations", {200: record}, (404, 422), [wait])
        },
        "/invocations/{id}/cancel": {
            "post": _operation(
                "cancelInvocation", "Cancel a queued or running invocation", "invocations", {202: record}, (404, 409)
            )
        },
        "/invocations/{id}/events": {
            "get": _operation(
                "getEvents",
                "What happened to an invocation, and why it is still queued",
                "invocations",
                {200: _json("The events in order.", "History", HISTORY_EXAMPLE)},
                (404,),
            )
        },
        "/stats": {"get": _stats()},
        "/invocations/{id}/logs": {"get": _logs()},
        "/functions/{ref}/logs": {"get": _function_logs()},
    }


def _stats() -> dict[str, Any]:
    parameters = [
        _query("function_id", "Only a function, by id or name.", {"type": "string"}),
        _query(
            "window",
            "How far back.",
            {"type": "string", "enum": sorted(window.value for window in Window), "default": "1h"},
        ),
        _paging()[0],
    ]
    return _operation(
        "getStats",
        "What each function has done of late: counts by status, times, what is queued and runs; the busiest first",
        "invocations",
        {200: _json("The functions that ended something, or have something in hand.", "Stats", STATS_EXAMPLE)},
        (422,),
        parameters,
    )


def _logs() -> dict[str, Any]:
    text = {
        "description": "What it printed.",
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {"schema": {"type": "string"}}},
    }
    follow = _query(
        "follow",
        "Stream it as server-sent events while it runs: `log` for each line, then one `end` with the status.",
        {"type": "boolean", "default": False},
    )
    resume = _header(
        "Last-Event-ID", "With `follow`: the id of the last event that was seen; the stream goes on after it."
    )
    return _operation("getLogs", "What the function printed", "invocations", {200: text}, (404, 422), [follow, resume])


def _function_logs() -> dict[str, Any]:
    example = "==> 01890a5d-ac97-7b3e-9c11-0f5a3d2c1b0a succeeded 2026-01-02T03:04:06.000Z\nhello\n"
    text = {
        "description": "What they printed.",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": example},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
    follow = _query(
        "follow",
        "Stream those that run and those that come as server-sent events: `log` and `end` name their `invocation_id`; `dropped` says how many "
        "lines a slow reader missed.",
        {"type": "boolean", "default": False},
    )
    limit = _query(
        "limit",
        "Of how many of those that have ended: 10 where it is left out, none with `follow`.",
        {"type": "integer", "minimum": 1, "maximum": 50},
    )
    resume = _header(
        "Last-Event-ID", "With `follow`: the id of the last event that was seen; the stream goes on after it."
    )
    return _operation(
        "getFunctionLogs",
        "What the function's newest invocations printed",
        "invocations",
        {200: text},
        (404, 422),
        [follow, limit, resume],
    )


def _secrets() -> dict[str, dict[str, Any]]:
    one = _json("What is told of it.", "Secret", SECRET_EXAMPLE)
    return {
        "/secrets": {
            "get": _operation(
                "listSecrets", "List the secrets, by name; never values", "secrets", {200: _list("Secret")}
            )
        },
        "/secrets/{name}": {
            "put": _operation(
                "putSecret",
                "Give a secret a value; functions that are bound to it get a new revision",
                "secrets",
                {200: one, 201: one},
                (400, 409, 413, 415, 422),
                body="SecretValue",
            ),
            "delete": _operation(
                "deleteSecret",
                "Remove a secret that no function is bound to",
                "secrets",
                {204: {"description": "It is gone."}},
                (404, 409),
            ),
        },
    }


def _keys() -> dict[str, dict[str, Any]]:
    made = _json("The key, and the only answer that has its text.", "NewKeyText", NEW_KEY_EXAMPLE)
    items = {"type": "object", "required": ["items"], "properties": {"items": {"type": "array", "items": _ref("Key")}}}
    every = {"description": "All keys.", "content": {"application/json": {"schema": items}}}
    names = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": _ref("Namespace")}},
    }
    spaces = {"description": "All namespaces.", "content": {"application/json": {"schema": names}}}
    changes = _list("Change")
    return {
        "/keys": {
            "post": _operation(
                "createKey", "Make an API key", "keys", {201: made}, (400, 413, 415, 422), body="NewKey"
            ),
            "get": _operation("listKeys", "List the API keys, newest first", "keys", {200: every}),
        },
        "/keys/{id}": {
            "delete": _operation(
                "revokeKey",
                "Make an API key good for nothing, within 3 seconds everywhere",
                "keys",
                {204: {"description": "It is."}},
                (404, 409),
            )
        },
        "/namespaces": {
            "post": _operation(
                "createNamespace",
                "Make a namespace",
                "keys",
                {201: _json("The namespace.", "Namespace", NAMESPACE_EXAMPLE)},
                (400, 409, 413, 415, 422),
                body="NewNamespace",
            ),
            "get": _operation("listNamespaces", "List the namespaces, by name", "keys", {200: spaces}),
        },
        "/namespaces/{namespace}": {
            "put": _operation(
                "setQuotas",
                "Replace what a namespace may use",
                "keys",
                {200: _json("The namespace.", "Namespace", NAMESPACE_EXAMPLE)},
                (400, 404, 413, 415, 422),
                body="Quotas",
            )
        },
        "/audit": {
            "get": _operation(
                "listChanges",
                "List who changed what, newest first",
                "keys",
                {200: changes},
                (422,),
                parameters=_paging(),
            )
        },
    }


def _platform() -> dict[str, dict[str, Any]]:
    healthy = {"status": "ok", "checks": {"database": "ok", "broker": "ok", "storage": "ok", "workers": "ok"}}
    degraded = {"status": "degraded", "checks": {**healthy["checks"], "workers": "no worker beats"}}  # type: ignore[dict-item]
    answers = {200: _json("Every check passes.", "Health", healthy), 503: _json("A check fails.", "Health", degraded)}
    live = {200: {"description": "It answers.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    example = '# TYPE faas_invocations gauge\nfaas_invocations{stage="running"} 3.0\n'
    metrics = {
        200: {
            "description": "The platform's numbers, and what all of its processes have counted, in Prometheus's text form.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": example}},
        }
    }
    return {
        "/health": {"get": _operation("health", "Whether the platform works", "platform", answers)},
        "/metrics": {"get": _operation("metrics", "Metrics for Prometheus", "platform", metrics)},
        "/health/live": {"get": _operation("live", "Whether this process answers", "platform", live)},
    }


def _operation(
    operation_id: str,
    summary: str,
    tag: str,
    answers: dict[int, dict[str, Any]],
    problems: tuple[int, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {str(status): answer for status, answer in answers.items()}
    if tag != "platform":
        problems = (*problems, 503)
    scope = _SCOPES.get(operation_id)
    if scope is not None:
        problems = (*problems, 401, 403, 429)
    responses |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in problems}
    operation: dict[str, Any] = {"operationId": operation_id, "summary": summary, "tags": [tag], "responses": responses}
    if scope is not None:
        operation["security"] = [{"key": [scope.value]}]
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _json(description: str, schema: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema), "example": example}}}


def _list(item: str, **more: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {"items": {"type": "array", "items": _ref(item)}, "next_cursor": {"type": ["string", "null"]}}
        | more,
    }
    return {"description": "One page.", "content": {"application/json": {"schema": schema}}}


def _problem(status: int, description: str) -> dict[str, Any]:
    example = {**PROBLEM_EXAMPLE, "status": status} if status == 422 else None
    content: dict[str, Any] = {"schema": _ref("Problem")}
    return {
        "description": description,
        "content": {"application/problem+json": content | ({"example": example} if example else {})},
    }


def _location(of: str) -> dict[str, Any]:
    return {"headers": {"Location": {"description": of, "schema": {"type": "string"}}}}


def _paging() -> list[dict[str, Any]]:
    return [
        _query("limit", "Most items of a page.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        _query("cursor", "`next_cursor` of the page before.", {"type": "string"}),
    ]


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema or {"type": "string"}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_PARAMETERS[name],
        "schema": {"type": "string"},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
