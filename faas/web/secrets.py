"""`/secrets`: set, list, delete. No call gives a value back."""

from __future__ import annotations

from flask import Blueprint, Response

from faas.domain.function import KIB, NAME
from faas.domain.invocation import Page
from faas.domain.secret import VALUE_BYTES
from faas.errors import Invalid, NotFound
from faas.web import render, schemas
from faas.web.auth import caller
from faas.web.body import read_json
from faas.web.context import services

blueprint = Blueprint("secrets", __name__)
# Each character may be written as an escape of six bytes.
_BODY_BYTES = 6 * VALUE_BYTES + KIB


@blueprint.put("/secrets/<name>")
def put(name: str) -> Response:
    """Give a secret a value; it is made where it is not there."""
    if not NAME.fullmatch(name):
        raise Invalid({"name": ["Must be 1 to 64 letters, digits, '_' and '-', the first a letter or digit."]})
    record = services().secrets.put(caller().namespace, name, schemas.secret_value(read_json(_BODY_BYTES)))
    return render.json_answer(render.secret(record), 201 if record.version == 1 else 200)


@blueprint.get("/secrets")
def list_() -> Response:
    """All of them, by name; there are never too many for one page."""
    return render.page(Page(services().secrets.find(caller().namespace), None), render.secret)


@blueprint.delete("/secrets/<name>")
def delete(name: str) -> Response:
    """Remove a secret that no function is bound to."""
    if not NAME.fullmatch(name):
        raise NotFound("There is no such secret.")
    services().secrets.delete(caller().namespace, name)
    return Response(status=204)
