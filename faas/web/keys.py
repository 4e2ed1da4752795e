"""`/keys`: make, list and revoke API keys."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g

from faas.domain.access import Key
from faas.domain.ids import is_id
from faas.errors import Forbidden, NotFound
from faas.web import render, schemas
from faas.web.auth import caller
from faas.web.body import INVOKE_BODY_BYTES, read_json
from faas.web.context import services

blueprint = Blueprint("keys", __name__)


@blueprint.post("/keys")
def create() -> Response:
    """Make a key; its text is in this answer and in no other."""
    new, who = schemas.new_key(read_json(INVOKE_BODY_BYTES)), caller()
    namespace = new.pop("namespace") or who.namespace
    if who.bound not in (None, namespace):
        raise Forbidden("The key may make others of its own namespace alone.")
    key, text = services().access.create(**new, namespace=namespace)
    g.changed = key.id
    return render.json_answer({**shown(key), "key": text}, 201)


@blueprint.get("/keys")
def list_() -> Response:
    """The keys of the caller's namespace, and all where that is `default`; newest first."""
    return render.json_answer({"items": [shown(key) for key in services().access.find(caller().bound)]})


@blueprint.delete("/keys/<id_>")
def revoke(id_: str) -> Response:
    """Make a key good for nothing."""
    if not is_id(id_):
        raise NotFound("There is no such key.")
    g.changed = id_
    services().access.revoke(id_, caller().bound)
    return Response(status=204)


def shown(key: Key) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": f"faas_{key.prefix}",
        "scopes": sorted(scope.value for scope in key.scopes),
        "created_at": render.instant(key.created_at),
        "expires_at": render.instant(key.expires_at),
        "last_used_at": render.instant(key.last_used_at),
        "revoked_at": render.instant(key.revoked_at),
        "requests_per_minute": key.requests_per_minute,
        "namespace": key.namespace,
    }
