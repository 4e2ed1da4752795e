"""The command `faas`."""

from __future__ import annotations

import click

from faas import __version__
from faas.cli.group import Commands

_SECTIONS = {
    "Functions": {
        "init": "faas.cli.scaffold:init",
        "deploy": "faas.cli.deploy:deploy",
        "ls": "faas.cli.functions:ls",
        "get": "faas.cli.functions:get",
        "rm": "faas.cli.functions:rm",
        "secrets": "faas.cli.secrets:secrets",
    },
    "Invocations": {
        "invoke": "faas.cli.invoke:invoke",
        "logs": "faas.cli.logs:logs",
        "ps": "faas.cli.invocations:ps",
        "why": "faas.cli.why:why",
        "stats": "faas.cli.stats:stats",
        "replay": "faas.cli.invocations:replay",
        "cancel": "faas.cli.invocations:cancel",
    },
    "The platform": {
        "dev": "faas.cli.dev:dev",
        "demo": "faas.cli.demo:demo",
        "keys": "faas.cli.keys:keys",
        "doctor": "faas.cli.doctor:doctor",
        "db": "faas.cli.db:db",
        "clock": "faas.cli.clock:clock",
    },
    "This command": {
        "profile": "faas.cli.profile:profile",
        "completion": "faas.cli.completion:completion",
    },
}


@click.group(
    cls=Commands, sections=_SECTIONS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="faas")
def main() -> None:
    """A self-hosted Functions-as-a-Service platform.

    \b
    Begin:  faas dev                          a platform on this machine, until Ctrl-C
            faas init hello                   a function in the folder hello
            faas deploy hello
            faas invoke hello -d '{"name": "Ada"}'

    FAAS_URL and FAAS_API_KEY name the server, else a profile does (`faas profile`), else it is http://127.0.0.1:8080.
    Exit statuses: 0 done, 1 the function failed or the server refused, 2 wrong usage, 3 no such thing, 4 no server,
    5 the platform failed, 6 no permission, 7 not finished in time.
    """
