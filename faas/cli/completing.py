"""What the shell may complete after a command: the names of functions, from the server."""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem

from faas.cli import profiles
from faas.errors import FaasError

_SECONDS = 2.0


def function_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The functions whose names begin so; none where the server does not answer at once: nobody wants an error while typing."""
    from faas.client import Client

    given = context.params
    with contextlib.suppress(FaasError):
        target = profiles.target(url=given.get("url"), profile=given.get("profile"))
        with Client(target.url, target.api_key or "", timeout=_SECONDS, retries=0) as client:
            items = client.request("GET", "/functions", params={"limit": 200}).json()["items"]
        return [
            CompletionItem(item["name"], help=item["runtime"]) for item in items if item["name"].startswith(incomplete)
        ]
    return []
