"""`faas stats`: what functions have done of late."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from faas.cli import output
from faas.cli.completing import function_names
from faas.cli.context import App, remote
from faas.cli.explaining import explain
from faas.cli.group import Command
from faas.cli.stats_table import notes, table
from faas.errors import FaasError

if TYPE_CHECKING:
    from rich.console import RenderableType

_WINDOWS = ("1m", "5m", "1h", "24h")
# The clock adds up as often.
_PAUSE_SECONDS = 2.0


@click.command(
    "stats", cls=Command, examples=("faas stats", "faas stats hello --window 24h --json", "faas stats --watch")
)
@click.argument("name", required=False, shell_complete=function_names)
@click.option("--window", type=click.Choice(_WINDOWS), default="1h", show_default=True, help="How far back.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="The busiest so many.")
@click.option("--watch", is_flag=True, help="Go on, every two seconds, until Ctrl-C.")
@remote
def stats(app: App, name: str | None, window: str, limit: int, watch: bool) -> None:
    """Show what functions have done of late.

    That is how many invocations ended and how, how long they ran (P50, P95, P99) and 95 of 100 waited (WAIT), cold starts, and
    what is queued and runs now. Times are off by less than a fifth. The bars of a function are on a scale of their own, the
    newest at the right."""
    if not watch:
        _show(app, _ask(app, name, window, limit), name)
    elif app.json or not sys.stdout.isatty():
        _repeat(app, name, window, limit)
    else:
        _redraw(app, name, window, limit)


def _ask(app: App, name: str | None, window: str, limit: int) -> dict[str, Any]:
    document: dict[str, Any] = app.get("/stats", function_id=name, window=window, limit=limit)
    if name is not None and not document["items"]:
        from faas.client.calls import function_path

        # The statistics of a function that is not there are empty; who asks for one wants to hear that it is not.
        app.get(function_path(name))
    return document


def _show(app: App, document: dict[str, Any], name: str | None) -> None:
    if app.json:
        output.show_json(document)
        return
    if document["items"]:
        console = output.output_console()
        output.print_table(console, table(document, console.width))
    for line in notes(document, name):
        output.note(line)


def _repeat(app: App, name: str | None, window: str, limit: int) -> None:
    """One after the other, for files and pipes."""
    output.note("Watching; Ctrl-C ends it.")
    with contextlib.suppress(KeyboardInterrupt):
        for document in _readings(app, name, window, limit):
            if isinstance(document, str):
                output.note(document)
            else:
                _show(app, document, name)


def _redraw(app: App, name: str | None, window: str, limit: int) -> None:
    """In place, for those who look at it."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    console = output.output_console()
    parts: list[RenderableType] = []
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        for document in _readings(app, name, window, limit):
            if isinstance(document, str):
                said = [document]
            else:
                parts = [table(document, console.width)] if document["items"] else []
                said = [*notes(document, name)]
            lines = [Text(line, "yellow") for line in said]
            live.update(Group(*parts, *lines, Text("Watching; Ctrl-C ends it.", "dim")), refresh=True)


def _readings(app: App, name: str | None, window: str, limit: int) -> Iterator[dict[str, Any] | str]:
    """What is told every few seconds, without end; where the server does not answer, what is wrong. It must answer the first time."""
    yield _ask(app, name, window, limit)
    while True:
        time.sleep(_PAUSE_SECONDS)
        try:
            yield _ask(app, name, window, limit)
        except FaasError as error:
            yield explain(error, app).message
