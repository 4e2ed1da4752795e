"""What people read: the OpenAPI document, its page, and the dashboard. Plain pages: no script, nothing from elsewhere."""

from __future__ import annotations

import functools
import json
from typing import Any

from flask import Blueprint, Response, render_template
from markupsafe import Markup, escape

from faas.errors import NotFound
from faas.web import openapi, query, render, stats_page
from faas.web.auth import caller
from faas.web.context import services

blueprint = Blueprint("documents", __name__)
_SHOWN = 50


@blueprint.app_template_filter("code")
def code(text: str) -> Markup:
    """Text whose parts in backticks are code; all of it escaped."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>%s</code>") % part if n % 2 else part for n, part in enumerate(parts))


@functools.cache
def _document() -> dict[str, Any]:
    return openapi.document()


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """The OpenAPI document."""
    return render.json_answer(_document())


@blueprint.get("/docs")
def docs() -> str:
    """The OpenAPI document as a page."""
    return render_template("docs.html", document=_document(), resolve=_resolve, pretty=_pretty)


@blueprint.get("/")
def dashboard() -> str:
    """What the functions have done of late, the functions, and the latest invocations."""
    namespace = caller().namespace
    functions = services().functions.find(name=None, limit=_SHOWN, cursor=None, namespace=namespace)
    invocations = services().invocations.find(
        function=None, status=None, limit=_SHOWN, cursor=None, namespace=namespace
    )
    return render_template(
        "dashboard.html",
        stats=stats_page.section(_SHOWN),
        functions=[render.function(item) for item in functions.items],
        invocations=[render.invocation_item(item) for item in invocations.items],
    )


@blueprint.get("/ui/functions/<ref>")
def function_page(ref: str) -> str:
    """One function, what it has done of late, and its latest invocations."""
    if not query.is_reference(ref):
        raise NotFound("There is no such function.")
    namespace = caller().namespace
    function = services().functions.get(ref, namespace)
    invocations = services().invocations.find(
        function=function.id, status=None, limit=_SHOWN, cursor=None, namespace=namespace
    )
    shown = render.function(function)
    # Variables of the environment often hold secrets: the page shows their names.
    shown["environment"] = sorted(function.spec.environment)
    return render_template(
        "function.html",
        stats=stats_page.section(1, function.id),
        function=shown,
        invocations=[render.invocation_item(item) for item in invocations.items],
        pretty=_pretty,
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    """What a local reference of the document names; the node itself where it is none."""
    while "$ref" in node:
        found: Any = _document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node
