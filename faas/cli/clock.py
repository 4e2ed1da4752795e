"""`faas clock`: the reconciler, as its own process."""

from __future__ import annotations

import sys

import click


@click.command()
def clock() -> None:
    """Run the reconciler: what keeps the promise that every accepted invocation ends."""
    from faas.reconciler.__main__ import main

    sys.exit(main())
