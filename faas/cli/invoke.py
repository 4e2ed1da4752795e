"""`faas invoke`: call a function, and show what it returned or why it did not."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import click

from faas.cli import output, payload, stack_trace
from faas.cli.completing import function_names
from faas.cli.context import App, remote
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command
from faas.cli.options import DURATION, headers
from faas.cli.tailing import followed

# The API holds an answer for 60 s at most; proxies in between are often less patient.
_HOLD_S = 25.0
TERMINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled"})


@click.command(
    cls=Command,
    examples=(
        'faas invoke hello -d \'{"name": "Ada"}\'',
        "faas invoke hello -d @event.json --logs",
        'echo \'{"name": "Ada"}\' | faas invoke hello -d - --json',
        "faas invoke hello --async",
    ),
)
@click.argument("name", shell_complete=function_names)
@click.option("-d", "--data", default="{}", show_default=True, metavar="JSON|@FILE|-", help="The payload.")
@click.option("-H", "--header", "given", multiple=True, metavar="NAME=VALUE", help="Text for the function's context.")
@click.option("--wait/--async", default=True, show_default=True, help="Wait for the end, or print the id at once.")
@click.option("--max-wait", type=DURATION, metavar="TIME", help="Wait so long at most, then exit with 7.")
@click.option("--timeout", type=DURATION, metavar="TIME", help="How long it may run; shorter than the function's own.")
@click.option("--delay", type=DURATION, metavar="TIME", help="Run it so long from now.")
@click.option("--expires-in", type=DURATION, metavar="TIME", help="Cancel it where it is not started by then.")
@click.option("--idempotency-key", metavar="KEY", help="The same key makes the same invocation, for 24 hours.")
@click.option("--logs", is_flag=True, help="Show on standard error what it prints, while it runs.")
@remote
def invoke(
    app: App,
    name: str,
    data: str,
    given: tuple[str, ...],
    wait: bool,
    max_wait: float | None,
    logs: bool,
    idempotency_key: str | None,
    **times: float | None,
) -> None:
    """Invoke a function, and show what it returns.

    NAME may be its id, too. The result is printed as JSON on standard output. Where the function fails, its
    error and stack trace are on standard error, and the exit status
    is 1. With --json the whole record is printed, however it ended.
    """
    body = {"function_id": name, "payload": payload.read(data), "headers": headers(given)}
    body |= {field: value for field, value in times.items() if value is not None}
    deadline = None if max_wait is None else time.monotonic() + max_wait
    # A script has its answer in one request; somebody at a terminal may press Ctrl-C, and is to be told the id of what goes on.
    hold = _hold(deadline) if wait and not logs and not output.is_terminal(sys.stderr) else 0.0
    record = accept(app, body, idempotency_key, hold)
    if not wait:
        _accepted(app, record)
        return
    with going_on(record["id"]), followed(app, record["id"], sys.stderr) if logs else contextlib.nullcontext():
        record = await_end(app, record, deadline)
    finish(app, record)


def accept(app: App, body: dict[str, Any], key: str | None = None, hold: float = 0.0) -> dict[str, Any]:
    """Have an invocation accepted, and wait up to `hold` seconds for its end; the record."""
    from faas.client.calls import new_key

    extra = {"Idempotency-Key": key or new_key()} | ({"Prefer": f"wait={hold:.3f}"} if hold else {})
    try:
        record: dict[str, Any] = app.call("POST", "/invoke", json=body, headers=extra, hold=hold)
    except KeyboardInterrupt:
        raise CommandFailed(
            "interrupted; the invocation may have been accepted",
            Exit.INTERRUPTED,
            hint=f"faas ps --function {body['function_id']} tells",
        ) from None
    return record


def await_end(app: App, record: dict[str, Any], deadline: float | None = None) -> dict[str, Any]:
    """The terminal record. Raises CommandFailed where the time (`time.monotonic`) is over before."""
    while record["status"] not in TERMINAL:
        asked, hold = time.monotonic(), _hold(deadline)
        params = {"wait": f"{hold:.3f}"}
        record = app.call("GET", f"/invocations/{record['id']}", params=params, hold=hold)
        if record["status"] in TERMINAL:
            break
        if deadline is not None and time.monotonic() >= deadline:
            raise CommandFailed(
                f"{record['id']} is still {record['status']}",
                Exit.UNFINISHED,
                hint=f"it goes on; faas why {record['id']} tells what it waits for",
                about={"invocation_id": record["id"]},
            )
        # A controller that is stopped answers early, and the next one may not be there yet.
        time.sleep(max(0.0, min(hold, 0.2) - (time.monotonic() - asked)))
    return record


def finish(app: App, record: dict[str, Any]) -> None:
    """Show how an invocation ended. Exits with the status that goes with it."""
    if app.json:
        output.show_json({name: value for name, value in record.items() if name != "invocation_id"})
    elif record["status"] == "succeeded":
        output.show_json(record["result"])
        if output.is_terminal(sys.stderr):
            output.note(click.style(_summary(record), dim=True) if output.coloured(sys.stderr) else _summary(record))
    else:
        stack_trace.show_error(record)
        stack_trace.show_next(record)
    if record["status"] != "succeeded":
        sys.exit(stack_trace.failure_of(record).status)


@contextlib.contextmanager
def going_on(invocation_id: str) -> Any:
    """Ctrl-C ends the waiting, and says that the invocation goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandFailed(
            f"no longer waiting for {invocation_id}, which goes on",
            Exit.INTERRUPTED,
            hint=f"faas logs -f {invocation_id} follows it, faas cancel {invocation_id} ends it",
        ) from None


def _hold(deadline: float | None) -> float:
    return _HOLD_S if deadline is None else max(0.0, min(_HOLD_S, deadline - time.monotonic()))


def _accepted(app: App, record: dict[str, Any]) -> None:
    if app.json:
        output.show_json({name: value for name, value in record.items() if name != "invocation_id"})
        return
    click.echo(record["id"])
    if output.is_terminal(sys.stdout):
        output.note(f"It is {record['status']}. faas logs -f {record['id']} follows it.")


def _summary(record: dict[str, Any]) -> str:
    start = f"cold start, {output.milliseconds(record['init_ms'])} to load" if record["cold_start"] else "warm"
    return f"{output.milliseconds(record['duration_ms'])} ({start}), revision {record['revision']}, {record['id']}"
