"""`faas dev`: the whole platform in the foreground."""

from __future__ import annotations

import os
from pathlib import Path

import click

from faas.cli.console import choose_engine, engine_option, say, show_warnings
from faas.cli.group import Command


@click.command(cls=Command, examples=("faas dev --port 9000 --engine simple",))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The port of the loopback address to serve on.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=".faas",
    show_default=True,
    help="What is kept between runs.",
)
@engine_option
def dev(port: int, data_dir: Path, engine: str) -> None:
    """Run the whole platform in the foreground.

    It has PostgreSQL and Redis of its own, and ends by Ctrl-C."""
    from faas.embedded.stack import Options, Stack

    show_warnings()
    stack = Stack(Options(data_dir, port, choose_engine(engine)), os.environ)
    with stack.ended_by_signals():
        try:
            if stack.start():
                click.echo(f"ready {stack.url}")
                stack.run()
            say("stopping")
        finally:
            stack.stop()
