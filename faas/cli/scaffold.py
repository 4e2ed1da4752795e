"""`faas init`: a function to begin with, which runs as it is."""

from __future__ import annotations

import re
import string
from importlib import resources
from pathlib import Path

import click

from faas.cli import output
from faas.cli.context import App, json_option, pass_app
from faas.cli.failures import CommandFailed, Exit
from faas.cli.group import Command

_SUFFIX = ".template"
RUNTIMES = ("python", "nodejs", "go")


@click.command(
    cls=Command,
    examples=("faas init hello", "faas init greeter --runtime nodejs", "faas init adder --runtime go --name adder-2"),
)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--runtime", type=click.Choice(RUNTIMES), default="python", show_default=True)
@click.option("--name", help="The function's name; the folder's where left out.")
@json_option
@pass_app
def init(app: App, folder: Path, runtime: str, name: str | None) -> None:
    """Make a function to begin with, in the folder DIR.

    It has a faas.toml, code, a test of it, a .faasignore and a README.md, and runs as it is. Files that are
    there already are never written over.
    """
    chosen = _name(folder, name)
    written = write(folder, runtime, chosen)
    if app.json:
        output.show_json({"name": chosen, "runtime": runtime, "files": written})
        return
    click.echo(f"Made the function {chosen} ({runtime}) in {folder}: {', '.join(written)}")
    output.note(f"Deploy it: faas deploy {folder}" if str(folder) != "." else "Deploy it: faas deploy")


def write(folder: Path, runtime: str, name: str) -> list[str]:
    """Write a runtime's files into a folder; their names.

    Raises:
        CommandFailed: one of them is there, or can't be written; in the first case nothing is.
    """
    templates = sorted(_templates(runtime).items())
    there = [file for file, _ in templates if (folder / file).exists()]
    if there:
        raise CommandFailed(
            f"{folder} has {', '.join(there)} already", Exit.FAILED, hint="name another folder: faas init DIR"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in templates:
            (folder / file).write_text(string.Template(text).substitute(name=name), "utf-8")
    except OSError as error:
        raise CommandFailed(f"{error.filename}: can't be written: {error.strerror}") from None
    return [file for file, _ in templates]


def _templates(runtime: str) -> dict[str, str]:
    folder = resources.files("faas.cli") / "templates" / runtime
    return {
        entry.name.removesuffix(_SUFFIX): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(_SUFFIX)
    }


def _name(folder: Path, given: str | None) -> str:
    """A name that the platform takes, made of the folder's where none is given."""
    from faas.domain.function import NAME

    if given is not None:
        if not NAME.fullmatch(given):
            raise CommandFailed(
                f"--name: {given!r} must be 1 to 64 letters, digits, `-` and `_`, beginning with a letter or digit",
                Exit.USAGE,
            )
        return given
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_")[:64] or "hello"
