"""The group of all commands: each is imported when it is used, shows examples in its help, and fails with a status of its own."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from faas.cli.context import App
from faas.cli.failures import CommandFailed, Exit
from faas.errors import FaasError


class Command(click.Command):
    """A command with examples in its help.

    Args:
        examples: lines for a shell. The tests run every one of them.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, each on a line of its own."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        super().format_epilog(ctx, formatter)


class Commands(click.Group):
    """Commands by name, imported when they are asked for: `faas ls` must not wait for what only `faas dev` needs.

    Args:
        sections: a heading to its commands' names, in the order of the help; names to `module:attribute`.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self._places = {name: place for section in sections.values() for name, place in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is nearly right is named in the error."""
        near = [] if args[0] in self._places else difflib.get_close_matches(args[0], self._places, 1)
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section."""
        width = max(map(len, self._places))
        for heading, section in self.sections.items():
            rows = [(name.ljust(width), self._short(ctx, name, formatter.width - width - 6)) for name in section]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def _short(self, ctx: click.Context, name: str, limit: int) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit) if command else ""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Its failure is shown in a line or a few: who runs a command wants the cause, not the stack."""
        app = ctx.ensure_object(App)
        try:
            return super().invoke(ctx)
        except FaasError as error:
            from faas.cli.explaining import explain

            fail(explain(error, app), app)
        except ModuleNotFoundError as error:
            # A module of our own that is missing is a fault of ours, and its stack is wanted.
            if (error.name or "faas").partition(".")[0] == "faas":
                raise
            fail(_not_installed(error.name or ""), app)
        except KeyboardInterrupt:
            click.echo("", err=True)
            sys.exit(Exit.INTERRUPTED)
        finally:
            app.close()


def _not_installed(module: str) -> CommandFailed:
    """The failure of a command that needs more than everybody gets: `pip install faas-platform` has the client alone."""
    hint = 'Install what a server needs: pip install "faas-platform[server]" (with `embedded` too for `faas dev`: "faas-platform[server,embedded]").'
    return CommandFailed(f"This command needs the Python package {module}, which is not installed.", hint=hint)


def fail(failure: CommandFailed, app: App) -> None:
    """Show a failure on standard error, and exit with its status."""
    if app.json:
        click.echo(json.dumps(failure.as_json(), ensure_ascii=False), err=True)
    else:
        # What follows stands under the first line, and so does the hint.
        for number, line in enumerate([*failure.message.splitlines(), *([failure.hint] if failure.hint else [])]):
            click.echo(f"      {line}" if number else f"faas: {line}", err=True)
    sys.exit(failure.status)
