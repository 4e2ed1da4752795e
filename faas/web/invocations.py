"""`/invoke` and `/invocations`: accept, read, wait, list, cancel, logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, g, request, stream_with_context

from faas.domain.ids import is_id
from faas.domain.invocation import Page
from faas.errors import NotFound
from faas.web import query, render, schemas
from faas.web.auth import caller
from faas.web.body import INVOKE_BODY_BYTES, read_json
from faas.web.context import services
from faas.web.events import follow, last_position
from faas.web.waiting import SLICE_S, waited
from faas.web.waiting import wait as wait_for

blueprint = Blueprint("invocations", __name__)


@blueprint.post("/invoke")
def invoke() -> Response:
    """Accept an invocation, and hold the answer as long as `Prefer: wait` asks."""
    status, headers, body = accept(g, request.headers.get, lambda: read_json(INVOKE_BODY_BYTES))
    return render.answer(body, status, headers)


def accept(
    state: Any, header: Callable[[str], str | None], read: Callable[[], Any], app: Flask | None = None
) -> tuple[int, dict[str, str], str]:
    """What `POST /invoke` does, in Flask's context or without it.

    Args:
        state: what is known of the request at hand (Flask's `g`): `caller`; gets `invocation_id`.
        header: gives one of the request's headers, None where it is not there.
        read: gives the body's JSON value.
        app: the application; the current one where it is left out.

    Returns:
        The answer's status, headers of its own, and body.
    """
    key = query.key_of(header("Idempotency-Key"))
    wait = query.wait_of(header("Prefer") or "")
    began = time.monotonic()
    new = schemas.new_invocation(read(), key, state.caller.namespace)
    accepted = services(app).invocations.invoke(new, wait_s=min(wait, SLICE_S))
    record = accepted.invocation
    state.invocation_id = record.id
    headers = {"Location": f"/invocations/{record.id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    if wait:
        headers["Preference-Applied"] = f"wait={wait:g}"
        record = waited(record, wait - (time.monotonic() - began), app)
    status = 200 if wait and record.status.terminal else 202
    return status, headers, render.text({"invocation_id": record.id, **render.invocation(record)})


@blueprint.get("/invocations/<id_>")
def read(id_: str) -> Response:
    """One invocation, at once or when it is terminal."""
    known, wait = _known(id_), query.wait()
    found = wait_for(services().invocations, known, wait) if wait else services().invocations.get(known)
    services().namespaces.require_record(caller().namespace, found.id, found.function_id)
    return render.json_answer(render.invocation(found))


@blueprint.get("/invocations")
def list_() -> Response:
    """The invocations, newest first."""
    function, status, limit, cursor = query.text("function_id"), query.status(), query.limit(), query.cursor()
    batch = query.id_("batch_id")
    if function is not None and not query.is_reference(function):
        return render.page(Page([], None), render.invocation_item)
    namespace = caller().namespace
    found = services().invocations.find(
        function=function, status=status, batch_id=batch, limit=limit, cursor=cursor, namespace=namespace
    )
    counts = services().batches.counts(batch, namespace) if batch is not None else None
    return render.page(found, render.invocation_item, **({"counts": counts} if counts else {}))


@blueprint.post("/invocations/<id_>/cancel")
def cancel(id_: str) -> Response:
    """Cancel a queued or running invocation."""
    return render.json_answer(render.invocation(services().invocations.cancel(_known(id_))), 202)


@blueprint.get("/invocations/<id_>/logs")
def logs(id_: str) -> Response:
    """What the function printed, as text or as a stream of events."""
    known = _known(id_)
    if query.flag("follow"):
        # Looked up here: inside the stream it is too late for a 404.
        services().invocations.get(known)
        return Response(
            stream_with_context(follow(services().invocations, known, last_position())),
            content_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )
    text = services().invocations.logs(known).decode("utf-8", "replace")
    return Response(text, content_type="text/plain; charset=utf-8")


def _known(id_: str) -> str:
    """Keeps text that is no id away from the database."""
    if not is_id(id_):
        raise NotFound("There is no such invocation.")
    g.invocation_id = id_
    return id_
