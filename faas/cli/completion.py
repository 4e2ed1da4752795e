"""`faas completion`: the script that makes a shell complete commands, options and names of functions."""

from __future__ import annotations

import click

from faas.cli.group import Command

_LONG = """Print a completion script for a shell.

    \b
    bash:  faas completion bash > ~/.local/share/bash-completion/completions/faas
    zsh:   faas completion zsh > ~/.zfunc/_faas      (with fpath+=~/.zfunc before compinit)
    fish:  faas completion fish > ~/.config/fish/completions/faas.fish
    """


@click.command(
    "completion",
    cls=Command,
    help=_LONG,
    examples=("faas completion bash", "faas completion zsh", "faas completion fish"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a completion script."""
    from click.shell_completion import get_completion_class

    root = context.find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root.command, {}, "faas", "_FAAS_COMPLETE").source())
