"""`faas demo`: a stack, a function of each runtime, a cold and a warm call of each, and a table of what came of them."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faas.cli.console import choose_engine, engine_option, say, show_warnings
from faas.cli.examples import EXAMPLES, Example
from faas.cli.group import Command
from faas.errors import PlatformError

if TYPE_CHECKING:
    from faas.client import Invocation

_CALLS = 2
# The first build of a Go function takes its time.
_PATIENCE_S = 300.0
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
            rows = _try_all(stack.url)
        finally:
            stack.stop()
    _show(rows)
    wrong = sorted({example.name for example, record in rows if not _right(example, record)})
    if wrong:
        raise PlatformError(f"not as expected: {', '.join(wrong)}")


def _try_all(url: str) -> list[tuple[Example, Invocation]]:
    """Deploy all, then call each: first cold, then warm."""
    from faas.client import Client, NotFound

    # No key: the variable's may be another server's.
    with Client(url, "") as client:
        for example in EXAMPLES:
            say(f"deploying {example.name}")
            with contextlib.suppress(NotFound):
                client.functions.delete(example.name)
            client.functions.create(example.name, example.runtime, example.source, example.handler)
        return [
            (example, client.invoke(example.name, example.payload).wait(_PATIENCE_S))
            for example in EXAMPLES
            for _ in range(_CALLS)
        ]


def _right(example: Example, record: Invocation) -> bool:
    return record.status == "succeeded" and bool(record.result == example.expected)


def _show(rows: list[tuple[Example, Invocation]]) -> None:
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
            f"[{'green' if _right(example, record) else 'red'}]{record.status}[/]",
            _outcome(record),
            "cold" if record.cold_start else "warm",
            *map(_number, (record.queue_ms, record.init_ms, record.duration_ms, record.attempts)),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)


def _outcome(record: Invocation) -> str:
    error = record.error
    return f"{error['type']}: {error['message']}" if error else json.dumps(record.result)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
