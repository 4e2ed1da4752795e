"""`faas keys`: make, list and revoke API keys."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import output
from faas.cli.context import App, remote
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command
from faas.domain.access import Scope


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    Once a key was made, every call needs one: FAAS_API_KEY, or `faas profile set NAME --api-key-stdin`."""


@keys.command(
    "create",
    cls=Command,
    examples=("faas keys create operations --scope admin", "faas keys create billing --scope invoke --expires 720h"),
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it is good for (repeat it).",
)
@click.option("--expires", metavar="DURATION", help="How long it is good for, such as 720h; for ever when left out.")
@click.option("--namespace", metavar="NAME", help="Where it is good; the caller's own when left out.")
@click.option("--rate", metavar="N", type=click.IntRange(1), help="At most so many calls a minute.")
@click.option(
    "--local", is_flag=True, help="Straight in the database that DATABASE_URL names: for the first key of a server."
)
@remote
def create(
    app: App,
    name: str,
    scopes: tuple[str, ...],
    expires: str | None,
    rate: int | None,
    namespace: str | None,
    local: bool,
) -> None:
    """Make a key called NAME, and print it: it is shown this once.

    The first key needs the scope admin; it makes the others."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes)} | ({"expires_in": expires} if expires else {})
    body |= {"requests_per_minute": rate} if rate else {}
    body |= {"namespace": namespace} if namespace else {}
    made = _create_locally(body) if local else app.call("POST", "/keys", json=body)
    if app.json:
        output.show_json(made)
        return
    output.note(f"Made the key {made['name']} ({', '.join(made['scopes'])}). It is shown this once:")
    click.echo(made["key"])


@keys.command("ls", cls=Command, examples=("faas keys ls",))
@remote
def list_(app: App) -> None:
    """List the keys, newest first."""
    found = app.get("/keys")["items"]
    if app.json:
        output.show_json(found)
        return
    if not found:
        output.note("No key was made: on its loopback address the server is open.")
        return
    output.show_table(("ID", "NAME", "KEY", "NAMESPACE", "SCOPES", "CALLS/MIN", "STATE", "LAST USED"), map(_row, found))


# `ls` as all lists are called here, and the word that one tries first for keys.
keys.add_command(list_, "list")


@keys.command("namespaces", cls=Command, examples=("faas keys namespaces",))
@remote
def namespaces(app: App) -> None:
    """List the namespaces that keys can be made for, by name."""
    found = app.get("/namespaces")["items"]
    if app.json:
        output.show_json(found)
        return
    output.show_table(
        ("NAME", "CALLS/MIN", "QUEUED", "CONCURRENT", "CODE MB", "CPU S TODAY", "AGE"), map(_space, found)
    )


@keys.command("add-namespace", cls=Command, examples=("faas keys add-namespace team-a",))
@click.argument("name")
@remote
def add_namespace(app: App, name: str) -> None:
    """Make a namespace called NAME.

    It has functions, records and secrets of its own, which keys of no other namespace see."""
    made = app.call("POST", "/namespaces", json={"name": name})
    if app.json:
        output.show_json(made)
        return
    click.echo(
        f"Made the namespace {made['name']}. A key of its own: faas keys create NAME --scope admin --namespace {made['name']}"
    )


@keys.command(
    "quota",
    cls=Command,
    examples=("faas keys quota team-a --requests 600 --queued 1000 --concurrent 50 --code-mb 500 --cpu-seconds 36000",),
)
@click.argument("namespace")
@click.option("--requests", metavar="N", type=click.IntRange(1), help="Calls a minute of all its keys together.")
@click.option("--queued", metavar="N", type=click.IntRange(1), help="Invocations that wait for a place.")
@click.option("--concurrent", metavar="N", type=click.IntRange(1), help="max_concurrency of all functions together.")
@click.option("--code-mb", metavar="N", type=click.IntRange(1), help="MiB of code of all functions together.")
@click.option("--cpu-seconds", metavar="N", type=click.IntRange(1), help="CPU-seconds a day (UTC).")
@remote
def quota(
    app: App,
    namespace: str,
    requests: int | None,
    queued: int | None,
    concurrent: int | None,
    code_mb: int | None,
    cpu_seconds: int | None,
) -> None:
    """Say what the namespace NAMESPACE may use. What is left out is not bounded."""
    from urllib.parse import quote

    wanted = {
        "requests_per_minute": requests,
        "queued": queued,
        "concurrent": concurrent,
        "code_mb": code_mb,
        "cpu_seconds_per_day": cpu_seconds,
    }
    body = {name: value for name, value in wanted.items() if value is not None}
    found = app.call("PUT", f"/namespaces/{quote(namespace, safe='')}", json=body)
    if app.json:
        output.show_json(found)
        return
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found["quotas"].items() if value)
    click.echo(f"{namespace}: {said or 'no quotas'}")


@keys.command("revoke", cls=Command, examples=("faas keys revoke 01977d2c-7f4e-7d3a-9b62-0e1b7c9a4d55",))
@click.argument("key_id", metavar="ID")
@remote
def revoke(app: App, key_id: str) -> None:
    """Make the key with this ID good for nothing, within 3 seconds."""
    from urllib.parse import quote

    app.call("DELETE", f"/keys/{quote(key_id, safe='')}")
    if app.json:
        output.show_json({"revoked": key_id})
    else:
        click.echo(f"Revoked {key_id}")


def _create_locally(body: dict[str, Any]) -> dict[str, Any]:
    from faas import config
    from faas.db.database import Database
    from faas.domain.namespace import DEFAULT
    from faas.errors import Invalid
    from faas.services import Access
    from faas.web import schemas
    from faas.web.keys import shown

    given = schemas.new_key(body)
    given["namespace"] = given["namespace"] or DEFAULT
    database = Database(config.load().database_url, connections=1, name="faas keys")
    try:
        key, text = Access(database, may_be_open=False).create(**given)
    except Invalid as error:
        raise CommandFailed(str(error), Exit.USAGE) from None
    finally:
        database.close()
    return {**shown(key), "key": text}


def _space(one: dict[str, Any]) -> tuple[Any, ...]:
    quotas, used = one["quotas"], one["used"]

    def of(amount: int | None, limit: int | None) -> str:
        shown = [str(amount)] if amount is not None else []
        return " of ".join([*shown, str(limit) if limit is not None else "any"])

    return (
        one["name"],
        of(None, quotas["requests_per_minute"]),
        of(None, quotas["queued"]),
        of(used["concurrent"], quotas["concurrent"]),
        of(used["code_mb"], quotas["code_mb"]),
        of(used["cpu_seconds_today"], quotas["cpu_seconds_per_day"]),
        output.age(one["created_at"]),
    )


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    used = found["last_used_at"]
    return (
        found["id"],
        found["name"],
        f"{found['prefix']}_…",
        found["namespace"],
        ", ".join(found["scopes"]),
        found["requests_per_minute"] or "any",
        _state(found),
        f"{output.age(used)} ago" if used else "never",
    )


def _state(found: dict[str, Any]) -> str:
    if found["revoked_at"]:
        return "revoked"
    return f"good until {found['expires_at']}" if found["expires_at"] else "good"
