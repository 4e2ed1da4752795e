"""`/functions/{ref}/logs`: what all invocations of a function print, as text or while they print it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from flask import Blueprint, Response, request, stream_with_context

from faas.domain.ids import is_id
from faas.domain.invocation import Status
from faas.domain.log import Position
from faas.errors import NotFound
from faas.services.function_logs import Dropped, Mark, Marker, Printed, Tail
from faas.web import query
from faas.web.auth import caller
from faas.web.context import services, stopping
from faas.web.events import BEGINNING, KEEP_ALIVE, KEEP_ALIVE_S, event, shown, together
from faas.web.render import instant

blueprint = Blueprint("function_logs", __name__)
_DEFAULT, _MOST = 10, 50
_PLACE = re.compile(r"([0-9a-f]{32})(?:\.([0-9]{1,9})\.([0-9]{1,9}))?")
_SINCE = re.compile(r"[0-9]{1,15}")
# What fits into a header that every server takes; the places of those that print now come first.
_MOST_PLACES = 80


@blueprint.get("/functions/<ref>/logs")
def logs(ref: str) -> Response:
    """The logs of a function's newest invocations as text, or those of all that run and come as a stream of events."""
    if not query.is_reference(ref):
        raise NotFound("There is no such function.")
    follow, limit = query.flag("follow"), query.count("limit", 0, _MOST)
    namespace = caller().namespace
    function = services().functions.get(ref, namespace)
    if not follow:
        return Response(
            stream_with_context(_portions(function.id, limit or _DEFAULT, namespace)),
            content_type="text/plain; charset=utf-8",
        )
    mark = read_mark(request.headers.get("Last-Event-ID", ""))
    tail = Tail(services().database, services().invocations, function.id, mark, limit)
    # Before the answer begins: whoever sees it begin is shown whatever ends from then on.
    tail.start()
    response = Response(
        stream_with_context(_events(tail, Marker(mark))),
        content_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )
    # A client may leave before the stream was even begun.
    response.call_on_close(tail.stop)
    return response


def _portions(function_id: str, limit: int, namespace: str) -> Iterator[str]:
    """The newest invocations, the oldest of them first, each under a line with its id, its status and when it was accepted."""
    invocations = services().invocations
    for record in reversed(invocations.find(function=function_id, limit=limit, namespace=namespace).items):
        yield f"==> {record.id} {record.status.value} {instant(record.created_at)}\n"
        text = invocations.logs(record.id).decode("utf-8", "replace")
        yield text if not text or text.endswith("\n") else f"{text}\n"


def _events(tail: Tail, marker: Marker) -> Iterator[str]:
    """`log` for each line and `end` for each invocation, with its id in both; `dropped` where a slow reader missed some. It goes on until the client leaves."""
    yield BEGINNING
    spoke = time.monotonic()
    while not stopping().is_set():
        found = tail.next(1.0)
        if found:
            yield from together(_event(one, marker) for one in found)
            spoke = time.monotonic()
        elif time.monotonic() - spoke >= KEEP_ALIVE_S:
            yield KEEP_ALIVE
            spoke = time.monotonic()


def _event(one: Printed | Dropped, marker: Marker) -> str:
    if isinstance(one, Dropped):
        return event("dropped", {"lines": one.lines})
    about = {"invocation_id": one.invocation_id}
    id_ = write_mark(marker.after(one))
    if isinstance(one.found, Status):
        return event("end", about | {"status": one.found.value}, id_)
    return event("log", about | shown(one.found), id_)


def write_mark(mark: Mark) -> str:
    """A mark as an event's id: milliseconds, then places as `id.attempt.offset`, or the id alone of what has ended."""
    places = sorted(mark.places.items(), key=lambda place: place[1] is None)[:_MOST_PLACES]
    parts = [
        id_.replace("-", "") + ("" if place is None else f".{place.attempt}.{place.offset}") for id_, place in places
    ]
    return "~".join([str(int(mark.since * 1000)), *parts])


def read_mark(text: str) -> Mark | None:
    """The mark of an event's id; None where it is none of ours."""
    since, *parts = text.split("~")
    if not _SINCE.fullmatch(since) or len(parts) > _MOST_PLACES:
        return None
    places: dict[str, Position | None] = {}
    for part in parts:
        match = _PLACE.fullmatch(part)
        if match is None:
            return None
        id_ = f"{match[1][:8]}-{match[1][8:12]}-{match[1][12:16]}-{match[1][16:20]}-{match[1][20:]}"
        if not is_id(id_):
            return None
        places[id_] = Position(int(match[2]), int(match[3])) if match[2] else None
    return Mark(int(since) / 1000, places)
