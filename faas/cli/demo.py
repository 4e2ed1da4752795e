"""`faas demo`: a stack, a function of each runtime, a cold and a warm call of each, and a table of what came of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from faas.cli.client import Client
from faas.cli.console import choose_engine, engine_option, say, show_warnings
from faas.cli.examples import EXAMPLES, Example
from faas.cli.group import Command
from faas.errors import PlatformError

_CALLS = 2
# A table wider than this would be folded where the output is no terminal.
_WIDTH = 130


@click.command(cls=Command, examples=("faas demo",))
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=".faas-demo",
    show_default=True,
    help="Kept, so that the next time is quicker.",
)
@engine_option
def demo(data_dir: Path, engine: str) -> None:
    """Show one function of each runtime at work.

    They are deployed and invoked on a platform of its own, and their records shown."""
    from faas.embedded.ports import free_port
    from faas.embedded.stack import Options, Stack

    show_warnings()
    stack = Stack(Options(data_dir, free_port(), choose_engine(engine)), os.environ)
    with stack.ended_by_signals():
        try:
            say("starting PostgreSQL, Redis, controller, worker and clock")
            if not stack.start():
                raise PlatformError("stopped before it was ready")
            say(f"serving at {stack.url}")
            rows = _try_all(Client(stack.url))
        finally:
            stack.stop()
    _show(rows)
    wrong = sorted({example.name for example, record in rows if not _right(example, record)})
    if wrong:
        raise PlatformError(f"not as expected: {', '.join(wrong)}")


def _try_all(client: Client) -> list[tuple[Example, dict[str, Any]]]:
    """Deploy all, then call each: first cold, then warm."""
    for example in EXAMPLES:
        say(f"deploying {example.name}")
        client.deploy(example.as_request())
    return [(example, client.invoke(example.name, example.payload)) for example in EXAMPLES for _ in range(_CALLS)]


def _right(example: Example, record: dict[str, Any]) -> bool:
    return record.get("status") == "succeeded" and record.get("result") == example.expected


def _show(rows: list[tuple[Example, dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Invocations")
    for heading in ("function", "runtime", "status", "result", "start"):
        table.add_column(heading)
    for heading in ("queue ms", "init ms", "duration ms", "attempts"):
        table.add_column(heading, justify="right")
    for example, record in rows:
        table.add_row(
            example.name,
            example.runtime,
            f"[{'green' if _right(example, record) else 'red'}]{record['status']}[/]",
            _outcome(record),
            "cold" if record["cold_start"] else "warm",
            *(_number(record[field]) for field in ("queue_ms", "init_ms", "duration_ms", "attempts")),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)


def _outcome(record: dict[str, Any]) -> str:
    error = record.get("error")
    return f"{error['type']}: {error['message']}" if error else json.dumps(record.get("result"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
