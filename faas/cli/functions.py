"""`faas ls`, `faas get`, `faas rm`: the functions of a server."""

from __future__ import annotations

import sys
from typing import Any

import click

from faas.cli import output
from faas.cli.completing import function_names
from faas.cli.context import App, remote
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command
from faas.cli.listing import items


@click.command("ls", cls=Command, examples=("faas ls", "faas ls --json | python3 -m json.tool"))
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="The newest so many.")
@remote
def ls(app: App, limit: int) -> None:
    """List the functions, newest first."""
    found = items(app, "/functions", limit)
    if app.json:
        output.show_json(found)
        return
    if not found:
        output.note("There are no functions yet. Make one: faas init hello && faas deploy hello")
        return
    output.show_table(
        ("NAME", "RUNTIME", "REVISION", "STATE", "TIMEOUT", "MEMORY", "UPDATED"), map(_row, found), {"REVISION"}
    )


@click.command("get", cls=Command, examples=("faas get hello", "faas get hello --json"))
@click.argument("name", shell_complete=function_names)
@remote
def get(app: App, name: str) -> None:
    """Show the function NAME (or its id)."""
    found = app.get(_path(name))
    if app.json:
        output.show_json(found)
        return
    retry = found["retry"]
    output.show_fields(
        (
            ("name", found["name"]),
            ("id", found["id"]),
            ("version", found["version"] or None),
            ("revision", found["revision"]),
            ("state", output.paint(found["state"])),
            ("reason", found["state_reason"]),
            ("runtime", found["runtime"]),
            ("handler", found["handler"]),
            ("code", f"{output.size(found['code_size'])} {found['code_digest']}"),
            ("timeout", found["timeout"]),
            ("memory", f"{found['memory_mb']} MB"),
            ("cpus", f"{found['cpus']:g}"),
            ("concurrency", f"{found['max_concurrency']} at most"),
            ("network", found["network"]),
            ("attempts", _attempts(retry)),
            ("http", _http(app, found)),
            ("environment", ", ".join(f"{key}={value}" for key, value in found["environment"].items()) or None),
            ("secrets", ", ".join(f"{key}={name}" for key, name in found.get("secrets", {}).items()) or None),
            ("metadata", found["metadata"] or None),
            ("created", found["created_at"]),
            ("updated", found["updated_at"]),
        )
    )


@click.command("rm", cls=Command, examples=("faas rm hello --yes",))
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=function_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@remote
def rm(app: App, names: tuple[str, ...], yes: bool) -> None:
    """Delete functions.

    What is queued of them ends cancelled, what runs finishes, and the records stay."""
    if not yes:
        _confirm(names)
    for name in names:
        app.call("DELETE", _path(name))
        if not app.json:
            click.echo(f"Deleted {name}")
    if app.json:
        output.show_json({"deleted": list(names)})


def _confirm(names: tuple[str, ...]) -> None:
    if not sys.stdin.isatty():
        raise CommandFailed("there is nobody to ask", Exit.USAGE, hint=f"faas rm {' '.join(names)} --yes")
    if not click.confirm(f"Delete {', '.join(names)}?", err=True):
        raise CommandFailed("nothing was deleted")


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    memory = f"{found['memory_mb']} MB"
    return (
        found["name"],
        found["runtime"],
        found["revision"],
        found["state"],
        found["timeout"],
        memory,
        f"{output.age(found['updated_at'])} ago",
    )


def _http(app: App, found: dict[str, Any]) -> str | None:
    """Where it is plain HTTP, and for whom; None from a server that does not tell."""
    settings = found.get("http")
    if settings is None:
        return None
    cors = settings["cors"]
    origins = f", pages of {', '.join(cors['allow_origins'])}" if cors else ""
    return f"{app.target.url}/fn/{found['name']} ({'public' if settings['public'] else 'not public'}{origins})"


def _attempts(retry: dict[str, Any]) -> str:
    most = retry["max_attempts"]
    return "1" if most == 1 else f"{most} at most, {retry['backoff']} to {retry['max_backoff']} apart"


def _path(ref: str) -> str:
    from faas.client.calls import function_path

    return function_path(ref)
