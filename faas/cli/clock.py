"""`faas clock`: the reconciler, as its own process."""

from __future__ import annotations

import sys

import click

from faas.cli.group import Command


@click.command(cls=Command, examples=("faas clock",))
def clock() -> None:
    """Run the reconciler.

    It keeps the promise that every accepted invocation ends."""
    from faas.reconciler.__main__ import main

    sys.exit(main())
