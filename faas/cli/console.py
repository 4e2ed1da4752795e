"""What `faas dev` and `faas demo` say on standard error, and which engine they take."""

from __future__ import annotations

import logging
import sys

import click

engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "container", "simple"]),
    default="auto",
    show_default=True,
    help="What functions run in.",
)


def say(message: str) -> None:
    """One line on standard error."""
    click.echo(f"faas: {message}", err=True)


def show_warnings() -> None:
    """Let the supervisor's warnings appear on standard error, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("faas: %(message)s"))
    logger = logging.getLogger("faas.embedded")
    logger.handlers = [handler]
    logger.propagate = False


def choose_engine(wanted: str) -> str:
    """The engine to use.

    Args:
        wanted: `container`, `simple`, or `auto`: containers where Docker answers and the images are there, else the simple engine, with a
            warning.
    """
    if wanted != "auto":
        return wanted
    from faas.sandbox import container

    reason = container.available()
    if reason is None:
        return "container"
    say(
        f"warning: {' '.join(reason.split())}; using the simple engine, which is no security boundary:"
        " functions have this host's network and files"
    )
    return "simple"
