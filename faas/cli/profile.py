"""`faas profile`: the servers of the config file."""

from __future__ import annotations

import sys

import click

from faas.cli import output, profiles
from faas.cli.context import App, json_option, pass_app
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command
from faas.cli.profiles import Profile, Profiles


@click.group()
def profile() -> None:
    """Keep servers and keys by name.

    The first profile that is set is the current one. --url, --profile and FAAS_URL win over it.
    """


@profile.command(
    "set",
    cls=Command,
    examples=(
        "faas profile set local --url http://127.0.0.1:8080",
        "echo SECRET-KEY | faas profile set work --url https://faas.example.com --api-key-stdin",
    ),
)
@click.argument("name")
@click.option("--url", metavar="URL", help="The server.")
@click.option(
    "--api-key-stdin", is_flag=True, help="Read the key from standard input: an argument could be read by others."
)
@json_option
@pass_app
def set_(app: App, name: str, url: str | None, api_key_stdin: bool) -> None:
    """Add or change the profile NAME."""
    path = profiles.config_file()
    content = profiles.load(path)
    before = content.profiles.get(name)
    if not profiles.NAME.fullmatch(name):
        raise CommandFailed(f"{name!r} must be letters, digits, `-` and `_`", Exit.USAGE)
    if url is None and before is None:
        raise CommandFailed(f"the profile {name!r} is new: it needs --url", Exit.USAGE)
    key = _read_key() if api_key_stdin else before.api_key if before and url in (None, before.url) else None
    made = Profile(profiles.checked(url, "--url") if url else before.url if before else "", key)
    profiles.save(path, Profiles(content.current or name, {**content.profiles, name: made}))
    _done(app, name, f"The profile {name} is {made.url}{' with a key' if key else ''}.")


@profile.command("use", cls=Command, examples=("faas profile use local",))
@click.argument("name")
@json_option
@pass_app
def use(app: App, name: str) -> None:
    """Make the profile NAME the current one."""
    path = profiles.config_file()
    content = profiles.load(path)
    found = content.get(name)
    profiles.save(path, Profiles(name, content.profiles))
    _done(app, name, f"Commands speak to {found.url} now.")


@profile.command("ls", cls=Command, examples=("faas profile ls", "faas profile ls --json"))
@json_option
@pass_app
def ls(app: App) -> None:
    """List the profiles. Keys are never shown."""
    path = profiles.config_file()
    content = profiles.load(path)
    found = [
        {"name": name, "url": one.url, "key": one.api_key is not None, "current": name == content.current}
        for name, one in content.profiles.items()
    ]
    if app.json:
        output.show_json(found)
    elif not found:
        output.note(f"There are no profiles in {path}. Add one: faas profile set NAME --url URL")
    else:
        rows = (
            ("*" if one["current"] else "", one["name"], one["url"], "yes" if one["key"] else "no") for one in found
        )
        output.show_table(("", "NAME", "URL", "KEY"), rows)


@profile.command("rm", cls=Command, examples=("faas profile rm work",))
@click.argument("name")
@json_option
@pass_app
def rm(app: App, name: str) -> None:
    """Remove the profile NAME, and its key."""
    path = profiles.config_file()
    content = profiles.load(path)
    content.get(name)
    left = {known: one for known, one in content.profiles.items() if known != name}
    profiles.save(path, Profiles(content.current if content.current != name else None, left))
    _done(app, name, f"Removed the profile {name}.")


def _read_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Key", hide_input=True, err=True)).strip()
    key = sys.stdin.readline().strip()
    if not key:
        raise CommandFailed("there is no key on standard input", Exit.USAGE)
    return key


def _done(app: App, name: str, sentence: str) -> None:
    if app.json:
        output.show_json({"profile": name})
    else:
        click.echo(sentence)
