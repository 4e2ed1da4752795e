"""`faas why`: what happened to an invocation, and what it waits for."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import output, stack_trace, story
from faas.cli.context import App, remote
from faas.cli.group import Command
from faas.cli.invocations import EXAMPLE_ID


@click.command("why", cls=Command, examples=(f"faas why {EXAMPLE_ID}", f"faas why {EXAMPLE_ID} --json"))
@click.argument("id_", metavar="ID")
@remote
def why(app: App, id_: str) -> None:
    """Tell what happened to an invocation.

    That is its story, and why it is still queued, or how it failed."""
    from faas.client.calls import invocation_path

    path = invocation_path(id_)
    told = app.get(f"{path}/events")
    if app.json:
        output.show_json(told)
        return
    record = app.get(path)
    click.echo(f"{record['function_name']} {id_} is {output.paint(record['status'])}")
    output.show_table(
        ("TIME", "AFTER", "WHAT"), ((one.time, one.after, one.what) for one in story.tell(told["events"])), {"AFTER"}
    )
    if told["waiting_for"]:
        _show_waiting(told["waiting_for"])
    elif record["error"]:
        output.note("")
        stack_trace.show_error(record)


def _show_waiting(about: dict[str, Any]) -> None:
    reason, remedy = story.waiting(about)
    click.echo(f"It waits: {reason}.")
    if remedy:
        output.note(f"What can be done: {remedy}")
