"""`faas doctor`: whether all is there that a working set-up needs, and the remedy for what is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from faas.cli import output
from faas.cli.context import App, remote
from faas.cli.failures import Exit
from faas.cli.group import Command
from faas.errors import FaasError

if TYPE_CHECKING:
    from faas.cli.checks import Finding

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command("doctor", cls=Command, examples=("faas doctor", "faas doctor --json"))
@remote
def doctor(app: App) -> None:
    """Check what a working set-up needs.

    That is this machine, what the environment names, and the server. The exit status is 1 where a check fails.
    A warning is about something that is not possible here, and may not be wanted.
    """
    found = []
    for finding in _findings(app):
        found.append(finding)
        if not app.json:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.state]
            mark = _MARKS[finding.state]
            click.echo(
                f"{click.style(mark, fg=colour) if output.coloured(sys.stdout) else mark}  {finding.check}: {finding.detail}"
            )
            if finding.remedy:
                click.echo(f"      → {finding.remedy}")
    if app.json:
        output.show_json([asdict(finding) for finding in found])
    if any(finding.state == "fail" for finding in found):
        sys.exit(Exit.FAILED)


def _findings(app: App) -> Iterator[Finding]:
    from faas.cli import checks, isolation
    from faas.sandbox.isolation import inspect

    yield from checks.of_machine()
    # Where no Engine answers, the check of Docker has said so.
    walls = inspect(os.environ.get("WORKER_OCI_RUNTIME", ""))
    if walls is not None:
        yield from isolation.findings(walls)
    yield from checks.of_deployment(os.environ)
    yield _server(app)


def _server(app: App) -> Finding:
    """The server that the other commands speak to."""
    from faas.cli.checks import FAIL, OK, WARN, Finding
    from faas.client.errors import ProblemError

    name = f"server {app.target.url}"
    try:
        app.get("/health")
    except ProblemError as error:
        return Finding(name, FAIL, f"answers, and is not well: {_unwell(error)}", "look at what it names")
    except FaasError as error:
        state = WARN if app.target.source == "default" else FAIL
        return Finding(
            name, state, f"does not answer ({error.__cause__ or error})", "faas dev, or name another: faas profile set"
        )
    return Finding(name, OK, "answers, and is well")


def _unwell(error: FaasError) -> str:
    checks_ = getattr(error, "problem", {}).get("checks", {})
    return "; ".join(f"{name}: {word}" for name, word in checks_.items() if word != "ok") or str(error)
