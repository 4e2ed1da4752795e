"""`/invocations/{id}/replay`, `/invocations/replay`: run one or many again."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, g

from faas.domain.ids import is_id
from faas.errors import NotFound
from faas.web import query, render, schemas
from faas.web.auth import caller
from faas.web.body import INVOKE_BODY_BYTES, read_json
from faas.web.context import services

blueprint = Blueprint("replays", __name__)


@blueprint.post("/invocations/replay")
def replay_many() -> Response:
    """Run again, as a batch, what ended in one way and was not run again yet."""
    asked = schemas.replay_many(read_json(INVOKE_BODY_BYTES))
    accepted = services().batches.replay(replace(asked, namespace=caller().namespace))
    headers = {"Location": f"/invocations?batch_id={accepted.batch_id}"}
    return render.json_answer({"batch_id": accepted.batch_id, "invocation_ids": accepted.invocation_ids}, 202, headers)


@blueprint.post("/invocations/<id_>/replay")
def replay(id_: str) -> Response:
    """Accept an invocation with the payload and headers of one that has ended."""
    if not is_id(id_):
        raise NotFound("There is no such invocation.")
    pinned = query.choice("revision", ("pinned", "newest")) == "pinned"
    asked = schemas.replay(id_, pinned=pinned, idempotency_key=query.idempotency_key())
    accepted = services().invocations.replay(replace(asked, namespace=caller().namespace))
    record = accepted.invocation
    g.invocation_id = record.id
    headers = {"Location": f"/invocations/{record.id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return render.json_answer({"invocation_id": record.id, **render.invocation(record)}, 202, headers)
