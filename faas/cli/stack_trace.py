"""How a failed invocation is shown: its error, where in the function it was, and what can be done next."""

from __future__ import annotations

import sys
from typing import Any

import click

from faas.cli import output
from faas.cli.failures import CommandFailed, Exit

_STATUS = {"Platform": Exit.PLATFORM}


def failure_of(record: dict[str, Any]) -> CommandFailed:
    """The failure of an invocation that has ended, and not well."""
    error = record["error"] or {"type": record["status"], "message": ""}
    status = _STATUS.get(error["type"].partition(".")[0], Exit.FAILED)
    if record["status"] == "cancelled":
        status = Exit.FAILED
    return CommandFailed(f"{error['type']}: {error['message']}", status, about={"invocation_id": record["id"]})


def show_error(record: dict[str, Any]) -> None:
    """The error, on standard error."""
    error = record["error"] or {"type": record["status"], "message": "", "stack_trace": []}
    colour = output.coloured(sys.stderr)
    kind = click.style(error["type"], fg="red", bold=True) if colour else error["type"]
    message = f": {output.harmless(error['message'])}" if error["message"] else ""
    output.note(f"{kind}{message}")
    for line in error.get("stack_trace") or ():
        for part in str(line).splitlines():
            output.note(f"  {output.harmless(part)}")


def show_next(record: dict[str, Any]) -> None:
    """What can be done after a failure, on standard error."""
    id_ = record["id"]
    attempts = f" after {record['attempts']} attempts" if record["attempts"] > 1 else ""
    output.note(f"\nInvocation {id_} of {record['function_name']} ended {record['status']}{attempts}.")
    output.note(f"  faas logs {id_}     what it printed")
    output.note(f"  faas why {id_}      what happened to it")
    output.note(f"  faas replay {id_}   run it again; once it is repaired, with --newest")
