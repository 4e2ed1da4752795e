"""What the commands share: the options that name a server, and the client for it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from faas.cli import profiles

if TYPE_CHECKING:
    from faas.client import Client

F = TypeVar("F", bound=Callable[..., Any])
# About a second: who types a command wants to know soon that nobody answers.
_RETRIES = 3


@dataclass
class App:
    """One run of the command `faas`."""

    url: str | None = None
    profile: str | None = None
    json: bool = False

    @functools.cached_property
    def target(self) -> profiles.Target:
        """The server that is spoken to. Raises CommandFailed."""
        return profiles.target(url=self.url, profile=self.profile)

    @functools.cached_property
    def client(self) -> Client:
        """A client for it; it connects at the first call. Closed by the group."""
        from faas.client import Client

        # httpx brings a command of its own, whose imports take as long as all of ours; it does without where they can't be had.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
        # Empty where the target has none: the variable's key may be another server's.
        return Client(self.target.url, self.target.api_key or "", retries=_RETRIES)

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a `GET`; parameters that are None are left out."""
        return self.call("GET", path, params={name: value for name, value in params.items() if value is not None})

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer; None where it has none. Raises errors of `faas.client`."""
        answer = self.client.request(method, path, **options)
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Close the client, where there is one."""
        if "client" in self.__dict__:
            self.client.close()


pass_app = click.make_pass_decorator(App, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(App), name, value)

    return callback


def json_option(command: F) -> F:
    """`--json`, which the command reads from its `App`."""
    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=_keep("json"), help="Print JSON, errors included."
    )
    return option(command)


def remote(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that speaks to a server, and its `App` as the first argument."""
    command = click.option(
        "--url", metavar="URL", expose_value=False, callback=_keep("url"), help="The server (else the profile's)."
    )(command)
    command = click.option(
        "--profile",
        metavar="NAME",
        expose_value=False,
        callback=_keep("profile"),
        help="The profile of the config file to use.",
    )(command)
    return json_option(pass_app(command))
