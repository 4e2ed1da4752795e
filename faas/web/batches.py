"""`/invoke/batch`: many invocations at once."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response

from faas.web import query, render, schemas
from faas.web.auth import caller
from faas.web.body import BATCH_BODY_BYTES, read_json
from faas.web.context import services

blueprint = Blueprint("batches", __name__)


@blueprint.post("/invoke/batch")
def invoke() -> Response:
    """Accept all invocations of a batch, or none."""
    key = query.idempotency_key()
    new = schemas.new_batch(read_json(BATCH_BODY_BYTES), key)
    namespace = caller().namespace
    accepted = services().batches.invoke(replace(new, items=[replace(one, namespace=namespace) for one in new.items]))
    headers = {"Location": f"/invocations?batch_id={accepted.batch_id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return render.json_answer({"batch_id": accepted.batch_id, "invocation_ids": accepted.invocation_ids}, 202, headers)
