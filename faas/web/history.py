"""`/invocations/{id}/events`: what happened to an invocation, and why it is still queued."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g

from faas.domain.history import Event, History
from faas.domain.ids import is_id
from faas.errors import NotFound
from faas.web import render
from faas.web.context import services

blueprint = Blueprint("history", __name__)


@blueprint.get("/invocations/<id_>/events")
def events(id_: str) -> Response:
    """The events of an invocation, in order."""
    if not is_id(id_):
        raise NotFound("There is no such invocation.")
    g.invocation_id = id_
    return render.json_answer(_shown(services().invocations.history(id_)))


def _shown(history: History) -> dict[str, Any]:
    waiting = history.waiting
    return {
        "invocation_id": history.record.id,
        "status": history.record.status.value,
        "waiting_for": {"reason": waiting.reason, **_plain(waiting.about)} if waiting else None,
        "events": [_event(event) for event in history.events],
    }


def _event(event: Event) -> dict[str, Any]:
    return {"time": render.instant(event.time), "type": event.type, **_plain(event.about)}


def _plain(about: dict[str, Any]) -> dict[str, Any]:
    return {name: render.instant(value) if isinstance(value, datetime) else value for name, value in about.items()}
