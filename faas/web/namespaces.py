"""`/namespaces`: make and list them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g

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


def _shown(one: Namespace) -> dict[str, Any]:
    return {"name": one.name, "created_at": render.instant(one.created_at)}
