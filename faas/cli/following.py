"""`faas logs -f NAME`: the logs of a function's invocations as they come, several at once."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from faas.cli import output
from faas.cli.context import App
from faas.cli.tailing import as_json

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue")
_SHOWN = 8
# What the server takes.
_MOST = 50


def follow_function(app: App, name: str, last: int) -> None:
    """Follow a function until Ctrl-C. Lines of different invocations may alternate; each begins with the end of its invocation's id.

    Args:
        last: of those that have ended, the newest so many are shown first.
    """
    for line in app.client.functions.follow(name, min(last, _MOST), _tell_dropped):
        _print(app, line)


def _tell_dropped(lines: int) -> None:
    output.note(f"faas: {lines} lines were left out so far, since they come faster than they are shown")


def _print(app: App, line: Any) -> None:
    invocation_id = line.invocation_id
    if app.json:
        click.echo(json.dumps(as_json(invocation_id, line), ensure_ascii=False))
        return
    mark = invocation_id[-_SHOWN:]
    if output.coloured(sys.stdout):
        mark = click.style(mark, fg=_COLOURS[int(mark, 16) % len(_COLOURS)])
    output.show_text(f"{mark} {line.text}" + ("" if line.text.endswith("\n") else "\n"))
