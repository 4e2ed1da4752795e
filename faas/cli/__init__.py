"""The command `faas`."""

from __future__ import annotations

import sys
from typing import Any

import click

from faas import __version__
from faas.cli.clock import clock
from faas.cli.db import db
from faas.cli.demo import demo
from faas.cli.dev import dev
from faas.errors import FaasError


class _OneLineErrors(click.Group):
    """Shows an error of ours as one line: who runs a command wants the cause, not the stack."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FaasError as error:
            click.echo(f"faas: {' '.join(str(error).split())}", err=True)
            sys.exit(1)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faas")
def main() -> None:
    """A self-hosted Functions-as-a-Service platform."""


for command in (dev, demo, db, clock):
    main.add_command(command)
