"""`faas deploy`: a folder with a `faas.toml` becomes a function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from faas.cli import output
from faas.cli.context import App, remote
from faas.cli.deploying import Deployed
from faas.cli.group import Command

_WORDS = {"created": "Created", "updated": "Updated", "unchanged": "Unchanged"}


@click.command(cls=Command, examples=("faas deploy hello", "faas deploy hello --json", "faas deploy hello --watch"))
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--watch", is_flag=True, help="Deploy at each change, until Ctrl-C.")
@remote
def deploy(app: App, folder: Path, watch: bool) -> None:
    """Deploy the function of a folder.

    DIR is the current folder where left out. Its faas.toml says what it is; what its .faasignore names stays
    here. A function that is not there yet is created; one that is gets a new
    revision where its code or its settings have changed.
    """
    from faas.cli.deploying import deploy as bring

    if watch:
        from faas.cli.watching import watch_and_deploy

        watch_and_deploy(app, folder)
        return
    show(app, bring(app, folder))


def show(app: App, deployed: Deployed) -> None:
    """What came of it, on standard output."""
    function = deployed.function
    if app.json:
        output.show_json({"change": deployed.change, "files": list(deployed.package.files), "function": function})
        return
    click.echo(f"{_WORDS[deployed.change]} {function['name']}, revision {function['revision']}: {_facts(deployed)}")
    if output.is_terminal(sys.stdout):
        click.echo(f"Invoke it: faas invoke {function['name']} -d '{{}}'")
        click.echo(
            f"Over HTTP: curl {app.target.url}/invoke -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\"
        )
        click.echo(f'             -d \'{{"function_id": "{function["name"]}", "payload": {{}}}}\'')


def _facts(deployed: Deployed) -> str:
    function: dict[str, Any] = deployed.function
    number = len(deployed.package.files)
    files = f"{number} file{'' if number == 1 else 's'}"
    return f"{function['runtime']}, {files}, {output.size(len(deployed.package.data))} packed"
