"""`ANY /fn/{name}/…`: functions as plain HTTP. A request is an event, and what the function returns is the answer.

It is an invocation like any other: accepted before it runs, with a record, and held by the listener that `Prefer: wait` uses.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

from flask import Blueprint, Response, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from faas.domain.access import Scope
from faas.domain.function import NAME, PAYLOAD_BYTES, Function
from faas.domain.http import METHODS
from faas.domain.invocation import Invocation, Status
from faas.errors import NotFound
from faas.services.requests import Accepted
from faas.web import auth, query, render, trigger_cors
from faas.web.body import read_bytes
from faas.web.context import services
from faas.web.problems import problem
from faas.web.trigger_answer import WrongAnswer, answer
from faas.web.trigger_event import invocation
from faas.web.waiting import SLICE_S, waited

blueprint = Blueprint("trigger", __name__)
# A page of a function is on the origin of the platform's own pages: it is shown as one of an origin of its own, so that its scripts reach nothing here.
_SANDBOX = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:;|,|$)", re.IGNORECASE)


class _Rest(BaseConverter):
    """Whatever follows the function's name: nothing, and `//`, too."""

    regex = ".*"
    part_isolating = False


@blueprint.record_once
def _know_rest(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["rest"] = _Rest


@blueprint.route("/fn/<name>", methods=METHODS, provide_automatic_options=False)
@blueprint.route("/fn/<name>/<rest:rest>", methods=METHODS, provide_automatic_options=False)
@blueprint.route("/ns/<namespace>/fn/<name>", methods=METHODS, provide_automatic_options=False)
@blueprint.route("/ns/<namespace>/fn/<name>/<rest:rest>", methods=METHODS, provide_automatic_options=False)
def call(name: str, rest: str = "", namespace: str | None = None) -> Response:
    """Call a function with the request: one of the key's namespace, or of the one that the path names."""
    where = auth.namespace() if namespace is None else namespace
    function = _reachable(name, where)
    cors = function.spec.http.cors
    if cors is not None and trigger_cors.is_preflight():
        return trigger_cors.preflight(cors)
    if not function.spec.http.public:
        _require_key(where)
    new = invocation(function, request, f"/{rest}", read_bytes(PAYLOAD_BYTES), query.idempotency_key())
    new = replace(new, namespace=where)
    if _ASYNC.search(request.headers.get("Prefer", "")):
        return _accepted(services().invocations.invoke(new))
    wait, began = query.preferred_wait() or query.MAX_WAIT_S, time.monotonic()
    accepted = services().invocations.invoke(new, wait_s=min(wait, SLICE_S))
    g.invocation_id = accepted.invocation.id
    g.is_replayed = accepted.replayed
    response = _answer(waited(accepted.invocation, wait - (time.monotonic() - began)))
    if cors is not None:
        trigger_cors.strip(response.headers)
    return response


@blueprint.after_request
def finish(response: Response) -> Response:
    """What every answer has: the invocation's id, the sandbox of pages, and CORS."""
    if "invocation_id" in g:
        response.headers["X-Invocation-Id"] = g.invocation_id
    if g.get("is_replayed"):
        response.headers["Idempotent-Replayed"] = "true"
    response.headers.add("Content-Security-Policy", _SANDBOX)
    if (cors := g.get("cors")) is not None:
        trigger_cors.allow(cors, response.headers)
    return response


def _reachable(name: str, namespace: str) -> Function:
    """The function of a name. Who has no key is not told which names there are: he hears of a missing one what he hears of others.

    Raises:
        NotFound: there is none. Unauthorized, Forbidden, RateLimited: it may be asked by those with a key alone.
    """
    try:
        if not query.is_reference(name) or not NAME.fullmatch(namespace):
            raise NotFound("There is no such function.")
        function = services().functions.get(name, namespace)
    except NotFound:
        auth.require(Scope.INVOKE)
        raise
    g.cors = function.spec.http.cors
    return function


def _require_key(namespace: str) -> None:
    auth.require(Scope.INVOKE)
    if auth.caller().namespace != namespace:
        raise NotFound("There is no such function.")


def _accepted(accepted: Accepted) -> Response:
    g.invocation_id, g.is_replayed = accepted.invocation.id, accepted.replayed
    headers = {"Location": f"/invocations/{g.invocation_id}", "Preference-Applied": "respond-async"}
    return render.json_answer({"invocation_id": g.invocation_id}, 202, headers)


def _answer(record: Invocation) -> Response:
    if record.status is Status.SUCCEEDED:
        try:
            return answer(record.result)
        except WrongAnswer as error:
            return problem(502, "Bad Gateway", f"The function's answer can't be sent: {error}")
    if not record.status.terminal:
        return problem(
            504,
            "Gateway Timeout",
            "The function has not ended yet. It goes on; Location is its record.",
            headers={"Location": f"/invocations/{record.id}"},
        )
    failure = record.error or {"type": "Cancelled", "message": "The invocation was cancelled."}
    detail = f"{failure['type']}: {failure['message']}"[:2000]
    if record.status is Status.TIMED_OUT:
        return problem(504, "Gateway Timeout", detail)
    return problem(502, "Bad Gateway", detail)
