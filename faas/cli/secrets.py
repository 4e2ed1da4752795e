"""`faas secrets`: text that functions are given and nobody is shown. A value is never an argument, which every account of the machine could read."""

from __future__ import annotations

import sys

import click

from faas.cli import output
from faas.cli.context import App, json_option, pass_app, remote
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command

_MOST_CHARACTERS = 1 << 20


@click.group()
def secrets() -> None:
    """Set, list and remove secrets.

    A function gets them as variables of its environment, by the table [secrets] in its faas.toml."""


@secrets.command(
    "set",
    cls=Command,
    examples=("echo the-password | faas secrets set billing-db", "faas secrets set pem < event.json"),
)
@click.argument("name")
@remote
def set_(app: App, name: str) -> None:
    """Give the secret NAME a value.

    It is read from standard input (without its last newline), or asked for without being shown. Functions that use the secret get a new revision, so
    that what is invoked from now on has the new value."""
    made = app.client.secrets.set(name, _read_value())
    if app.json:
        output.show_json({"name": made.name, "version": made.version, "functions": made.functions})
        return
    used = f"; new revisions of {', '.join(made.functions)}" if made.functions else ""
    click.echo(f"Set {made.name}, version {made.version}{used}")


@secrets.command("ls", cls=Command, examples=("faas secrets ls", "faas secrets ls --json"))
@remote
def ls(app: App) -> None:
    """List the secrets and who uses them; no command shows a value."""
    found = app.get("/secrets")["items"]
    if app.json:
        output.show_json(found)
        return
    if not found:
        output.note("There are no secrets yet. Set one: faas secrets set NAME")
        return
    rows = [
        (one["name"], one["version"], ", ".join(one["functions"]) or "-", f"{output.age(one['updated_at'])} ago")
        for one in found
    ]
    output.show_table(("NAME", "VERSION", "FUNCTIONS", "UPDATED"), rows, {"VERSION"})


@secrets.command("rm", cls=Command, examples=("faas secrets rm pem",))
@click.argument("name")
@remote
def rm(app: App, name: str) -> None:
    """Remove the secret NAME, which no function may use any more."""
    app.client.secrets.delete(name)
    if app.json:
        output.show_json({"deleted": name})
    else:
        click.echo(f"Deleted {name}")


@secrets.command("keygen", cls=Command, examples=("faas secrets keygen",))
@json_option
@pass_app
def keygen(app: App) -> None:
    """Print a fresh key for FAAS_SECRETS_KEY.

    Servers and workers need the same."""
    from faas.services.vault import new_key

    key = new_key()
    if app.json:
        output.show_json({"key": key})
    else:
        click.echo(key)


@secrets.command("rotate", cls=Command, examples=("faas secrets rotate",))
@json_option
@pass_app
def rotate(app: App) -> None:
    """Encrypt every secret with the first key of FAAS_SECRETS_KEY.

    It works on the database that DATABASE_URL names. First put the new key before the old one, in the environment of all servers and workers; then
    run this; then take the old key away. Values and functions stay as they are."""
    from faas import config
    from faas.db.database import Database
    from faas.services import secrets as service
    from faas.services.vault import Vault

    settings = config.load()
    database = Database(settings.database_url, connections=1, name="faas secrets")
    try:
        done = service.rotate(database, Vault(settings.secrets_keys))
    finally:
        database.close()
    if app.json:
        output.show_json({"rotated": done})
    else:
        click.echo(f"Encrypted anew: {done}")


def _read_value() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, err=True))
    text = sys.stdin.read(_MOST_CHARACTERS + 1).removesuffix("\n")
    if not text:
        raise CommandFailed(
            "there is no value on standard input", Exit.USAGE, hint="echo VALUE | faas secrets set NAME"
        )
    if len(text) > _MOST_CHARACTERS:
        raise CommandFailed("the value is too large", Exit.USAGE)
    return text
