"""`faas logs`: what an invocation printed, or the latest invocations of a function; with `-f` while they print it."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from faas.cli import output
from faas.cli.completing import function_names
from faas.cli.context import App, remote
from faas.cli.group import Command
from faas.cli.invocations import EXAMPLE_ID
from faas.cli.listing import items
from faas.cli.tailing import as_json, follow


@click.command(
    "logs",
    cls=Command,
    examples=(
        f"faas logs {EXAMPLE_ID}",
        f"faas logs -f {EXAMPLE_ID}",
        "faas logs hello --last 3",
        "faas logs -f hello",
    ),
)
@click.argument("ref", metavar="NAME|ID", shell_complete=function_names)
@click.option(
    "-f", "--follow", "following", is_flag=True, help="Go on while it is printed, to the invocation's end or Ctrl-C."
)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(0, 200),
    default=5,
    show_default=True,
    help="Of a function: so many invocations.",
)
@remote
def logs(app: App, ref: str, following: bool, last: int) -> None:
    """Show what functions print.

    That is what the invocation ID printed, or the latest invocations of the function NAME. Only the log is on
    standard output. With --json each line is an object: {"invocation_id", "time", "stream", "text"}; time and
    stream are null
    where a log is read and not followed.
    """
    from faas.domain.ids import is_id

    if not is_id(ref):
        _of_function(app, ref, following, last)
    elif following:
        _follow_one(app, ref)
    else:
        _show(app, ref)


def _follow_one(app: App, invocation_id: str) -> None:
    if not app.json:
        follow(app, invocation_id, sys.stdout)
        return
    for line in app.client.handle(invocation_id).logs(follow=True):
        click.echo(json.dumps(as_json(invocation_id, line), ensure_ascii=False))


def _show(app: App, invocation_id: str) -> None:
    text = app.client.handle(invocation_id).logs()
    if not text and not app.json:
        _explain_nothing(app, invocation_id)
    if not app.json:
        output.show_text(text if text.endswith("\n") or not text else f"{text}\n")
        return
    for line in text.splitlines(keepends=True):
        about = {"invocation_id": invocation_id, "time": None, "stream": None, "text": line}
        click.echo(json.dumps(about, ensure_ascii=False))


def _explain_nothing(app: App, invocation_id: str) -> None:
    record = app.client.invocations.get(invocation_id)
    if record.terminal:
        output.note("It printed nothing.")
    else:
        output.note(f"It is {record.status}; what it prints is here once it has ended, and meanwhile by -f.")


def _of_function(app: App, name: str, following: bool, last: int) -> None:
    from faas.client.calls import function_path

    # A wrong name is an error, and no empty list.
    app.get(function_path(name))
    if following:
        from faas.cli.following import follow_function

        follow_function(app, name, last)
        return
    found = items(app, "/invocations", last, function_id=name) if last else []
    if not found:
        output.note(f"{name} has not been invoked yet.")
    for record in reversed(found):
        if not app.json:
            click.echo(_heading(record))
        _show(app, record["id"])


def _heading(record: dict[str, Any]) -> str:
    return f"==> {record['id']} {record['status']}, {output.age(record['created_at'])} ago"
