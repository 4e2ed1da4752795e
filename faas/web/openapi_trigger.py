"""The OpenAPI operations of `/fn/{name}`: one for each method, the same for all."""

from __future__ import annotations

from typing import Any

from faas.domain.access import Scope
from faas.domain.http import METHODS

PROBLEMS = {
    502: "The function failed (`detail` has the error's type and message), or its answer can't be sent.",
    504: "The function timed out; or it has not ended in time, and `Location` is its record.",
}
_ANSWERED_WITH = (400, 401, 403, 404, 409, 413, 422, 429, 502, 503, 504)
_TAKES_EVENTS = frozenset({"POST"})
_BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_CLOUDEVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"type": "string", "const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "subject": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string"},
        "dataschema": {"type": "string", "format": "uri"},
        "data": {},
        "data_base64": {"type": "string", "format": "byte"},
    },
}
COMPONENTS = {"CloudEvent": _CLOUDEVENT}
_EXAMPLE = {
    "specversion": "1.0",
    "id": "o-17",
    "source": "/shop/orders",
    "type": "example.order.paid",
    "data": {"n": 1},
}
_PREFER = (
    "`respond-async` for a 202 at once; `wait=10` to wait so many seconds at most, 60 where it is left out (RFC 7240)."
)
_INVOCATION_ID = {"X-Invocation-Id": {"description": "The invocation's id.", "schema": {"type": "string"}}}


def paths() -> dict[str, dict[str, Any]]:
    """`/fn/{name}` and what is below it."""
    return {
        "/fn/{name}": {method.lower(): _operation(method, "callFunction") for method in METHODS},
        "/fn/{name}/{rest}": {method.lower(): _operation(method, "callFunctionAt") for method in METHODS},
        "/ns/{namespace}/fn/{name}": {method.lower(): _operation(method, "callFunctionOf") for method in METHODS},
        "/ns/{namespace}/fn/{name}/{rest}": {
            method.lower(): _operation(method, "callFunctionOfAt") for method in METHODS
        },
    }


def _operation(method: str, stem: str) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {
            "description": "What the function returned: its own answer, with the status that it chose, or its result as JSON.",
            "headers": _INVOCATION_ID,
            "content": {"application/json": {"schema": {}, "example": {"hello": "world"}}, "*/*": {"schema": {}}},
        },
        "202": {
            "description": "Accepted (`Prefer: respond-async`).",
            "headers": {"Location": {"description": "The invocation.", "schema": {"type": "string"}}},
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["invocation_id"],
                        "properties": {"invocation_id": {"type": "string", "format": "uuid"}},
                    }
                }
            },
        },
    }
    answers |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _ANSWERED_WITH}
    operation: dict[str, Any] = {
        "operationId": f"{stem}{method.capitalize()}",
        "summary": f"Call a function with {'an' if method == 'OPTIONS' else 'a'} {method} request",
        "description": "The request is the function's event. A function that is public (`http.public`) takes it without a key.",
        "tags": ["http"],
        "parameters": [_header("Prefer", _PREFER), _header("Idempotency-Key", "As for `POST /invoke`.")],
        "responses": answers,
        "security": [{"key": [Scope.INVOKE.value]}],
    }
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        operation["requestBody"] = _body(method)
    return operation


def _body(method: str) -> dict[str, Any]:
    # Any media type is taken. Two are named in its place, since generators of clients leave out a call whose body is `*/*`.
    content: dict[str, Any] = {"application/json": {"schema": {}}, "application/octet-stream": {"schema": _BYTES}}
    if method in _TAKES_EVENTS:
        schema = {"$ref": "#/components/schemas/CloudEvent"}
        content["application/cloudevents+json"] = {"schema": schema, "example": _EXAMPLE}
    return {"required": False, "description": "A body of any media type, at most 6 MiB.", "content": content}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
