"""`faas ps`, `faas cancel`, `faas replay`: the invocations of a server."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import output
from faas.cli.completing import function_names
from faas.cli.context import App, remote
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command
from faas.cli.invoke import await_end, finish, going_on
from faas.cli.listing import items, moment_of

_STATUSES = ("queued", "running", "succeeded", "failed", "timed_out", "cancelled")
_ENDED = _STATUSES[2:]
EXAMPLE_ID = "01993e5c-7a1b-7c3d-9e4f-5a6b7c8d9e0f"


@click.command(
    "ps", cls=Command, examples=("faas ps", "faas ps --function hello --status failed --limit 5", "faas ps --json")
)
@click.option("--function", metavar="NAME", shell_complete=function_names, help="Only those of a function.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those in a status.")
@click.option("--batch", metavar="ID", help="Only those of a batch.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest so many.")
@remote
def ps(app: App, function: str | None, status: str | None, batch: str | None, limit: int) -> None:
    """List invocations, newest first."""
    found = items(app, "/invocations", limit, function_id=function, status=status, batch_id=batch)
    if app.json:
        output.show_json(found)
        return
    if not found:
        output.note("There are no such invocations.")
        return
    headings = ("ID", "FUNCTION", "STATUS", "AGE", "WAITED", "RAN", "ATTEMPTS", "ERROR")
    output.show_table(headings, map(_row, found), {"ATTEMPTS"}, spare=("WAITED", "ATTEMPTS", "RAN", "AGE"))


@click.command("cancel", cls=Command, examples=(f"faas cancel {EXAMPLE_ID}",))
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@remote
def cancel(app: App, ids: tuple[str, ...]) -> None:
    """Cancel queued or running invocations."""
    records = []
    for id_ in ids:
        records.append(app.call("POST", f"{_path(id_)}/cancel"))
        if not app.json:
            click.echo(f"{id_} {'is cancelled' if records[-1]['status'] == 'cancelled' else 'is being stopped'}")
    if app.json:
        output.show_json(records)


@click.command(
    "replay",
    cls=Command,
    examples=(
        f"faas replay {EXAMPLE_ID}",
        f"faas replay {EXAMPLE_ID} --newest --wait",
        "faas replay --status failed --function hello --newest",
    ),
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--status", type=click.Choice(_ENDED), help="All that ended so, and were not run again yet.")
@click.option("--function", metavar="NAME", shell_complete=function_names, help="Of these, only those of a function.")
@click.option("--batch", metavar="ID", help="Of these, only those of a batch.")
@click.option("--after", metavar="TIME", help="Of these, only those accepted from then on (RFC 3339).")
@click.option("--before", metavar="TIME", help="Of these, only those accepted before then (RFC 3339).")
@click.option("--newest", is_flag=True, help="Run them under the function's newest revision, after a repair.")
@click.option("--wait", is_flag=True, help="Wait for the end of a single one, as `faas invoke` does.")
@remote
def replay(app: App, ids: tuple[str, ...], newest: bool, wait: bool, **filters: str | None) -> None:
    """Run invocations again.

    They have ended, and are run with their payloads and headers: those that are named by ID, or many by --status."""
    revision = "newest" if newest else "pinned"
    if bool(ids) == (filters["status"] is not None):
        raise CommandFailed("name invocations by their ids, or many by --status, and not both", Exit.USAGE)
    if wait and len(ids) != 1:
        raise CommandFailed("--wait takes a single id", Exit.USAGE)
    if ids:
        _replay_ids(app, ids, revision, wait)
    else:
        _replay_many(app, revision, filters)


def _replay_ids(app: App, ids: tuple[str, ...], revision: str, wait: bool) -> None:
    from faas.client.calls import new_key

    records = []
    for id_ in ids:
        key = {"Idempotency-Key": new_key()}
        records.append(app.call("POST", f"{_path(id_)}/replay", params={"revision": revision}, headers=key))
        if not app.json and not wait:
            click.echo(records[-1]["id"])
    if wait:
        with going_on(records[0]["id"]):
            finish(app, await_end(app, records[0]))
    elif app.json:
        output.show_json(
            [{"id": record["id"], "replay_of": record["replay_of"], "status": record["status"]} for record in records]
        )


def _replay_many(app: App, revision: str, filters: dict[str, str | None]) -> None:
    """Portions of the server's size. What fails again is not taken again: after the first portion only what was accepted before that."""
    names = {"function": "function_id", "batch": "batch_id"}
    body = {names.get(name, name): value for name, value in filters.items() if value is not None}
    body["revision"] = revision
    batches: list[dict[str, Any]] = []
    while (made := app.call("POST", "/invocations/replay", json=body))["invocation_ids"]:
        batches.append(made)
        if not app.json:
            click.echo(f"Replaying {len(made['invocation_ids'])}: faas ps --batch {made['batch_id']}")
        # By the server's clock, which the batch's id has in it: this machine's may be wrong.
        body.setdefault("before", moment_of(made["batch_id"]).isoformat(timespec="milliseconds"))
    if app.json:
        output.show_json(batches)
    elif not batches:
        output.note("Nothing is left to replay.")


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    return (
        found["id"],
        found["function_name"],
        found["status"],
        output.age(found["created_at"]),
        output.milliseconds(found["queue_ms"]),
        output.milliseconds(found["duration_ms"]),
        found["attempts"],
        output.one_line(f"{found['error']['type']}: {found['error']['message']}") if found["error"] else None,
    )


def _path(invocation_id: str) -> str:
    from faas.client.calls import invocation_path

    return invocation_path(invocation_id)
