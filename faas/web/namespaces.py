"""`/namespaces`: make and list them, and say what each may use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, g

from faas.domain.function import MIB
from faas.domain.namespace import Namespace
from faas.web import render, schemas
from faas.web.body import INVOKE_BODY_BYTES, read_json
from faas.web.context import services

blueprint = Blueprint("namespaces", __name__)


@blueprint.post("/namespaces")
def create() -> Response:
    """Make a namespace."""
    made = services().namespaces.create(schemas.new_namespace(read_json(INVOKE_BODY_BYTES)))
    g.changed = made.name
    return render.json_answer(_shown(made), 201)


@blueprint.get("/namespaces")
def list_() -> Response:
    """All of them, by name."""
    return render.json_answer({"items": [_shown(one) for one in services().namespaces.find()]})


@blueprint.put("/namespaces/<namespace>")
def update(namespace: str) -> Response:
    """Replace what a namespace may use."""
    return render.json_answer(_shown(services().quotas.put(namespace, schemas.quotas(read_json(INVOKE_BODY_BYTES)))))


def _shown(one: Namespace) -> dict[str, Any]:
    return {
        "name": one.name,
        "created_at": render.instant(one.created_at),
        "quotas": asdict(one.quotas),
        "used": {
            "concurrent": one.used.concurrent,
            "code_mb": -(-one.used.code_bytes // MIB),
            "cpu_seconds_today": one.used.cpu_seconds_today,
        },
    }
