"""`/functions`: create, list, read, change, delete."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, g

from faas.domain.invocation import Page
from faas.errors import NotFound
from faas.web import query, render, schemas
from faas.web.auth import caller
from faas.web.body import FUNCTION_BODY_BYTES, read_json
from faas.web.context import services

blueprint = Blueprint("functions", __name__)


@blueprint.post("/functions")
def create() -> Response:
    """Create a function."""
    new = schemas.new_function(read_json(FUNCTION_BODY_BYTES))
    made = services().functions.create(replace(new, namespace=caller().namespace))
    g.changed = made.id
    return render.json_answer(render.function(made), 201, {"Location": f"/functions/{made.id}"})


@blueprint.get("/functions")
def list_() -> Response:
    """The functions, newest first."""
    name, limit, cursor = query.text("name"), query.limit(), query.cursor()
    if name is not None and not query.is_reference(name):
        return render.page(Page([], None), render.function)
    found = services().functions.find(name=name, limit=limit, cursor=cursor, namespace=caller().namespace)
    return render.page(found, render.function)


@blueprint.get("/functions/<ref>")
def read(ref: str) -> Response:
    """One function."""
    return render.json_answer(render.function(services().functions.get(_known(ref), caller().namespace)))


@blueprint.put("/functions/<ref>")
def update(ref: str) -> Response:
    """Change any subset of a function's fields."""
    changes = schemas.function_changes(read_json(FUNCTION_BODY_BYTES))
    made = services().functions.update(_known(ref), changes, caller().namespace)
    return render.json_answer(render.function(made))


@blueprint.delete("/functions/<ref>")
def delete(ref: str) -> Response:
    """Delete a function."""
    services().functions.delete(_known(ref), caller().namespace)
    return Response(status=204)


def _known(ref: str) -> str:
    """Keeps text that can't be a reference (NUL, 300 characters) away from the database."""
    if not query.is_reference(ref):
        raise NotFound("There is no such function.")
    return ref
