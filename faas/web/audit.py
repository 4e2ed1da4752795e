"""`/audit`: the changes that were made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from faas.domain.audit import Entry
from faas.web import query, render
from faas.web.auth import caller
from faas.web.context import services

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
def list_() -> Response:
    """Who changed what, newest first: of the caller's namespace, and of all where that is `default`."""
    found = services().audit.find(namespace=caller().bound, limit=query.limit(), cursor=query.cursor())
    return render.page(found, _shown)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": render.instant(entry.at),
        "namespace": entry.namespace,
        "key_id": entry.key_id,
        "key_name": entry.key_name,
        "action": entry.action,
        "object": entry.object,
        "remote": entry.remote,
        "request_id": entry.request_id,
    }
