"""Errors of the client as failures of a command: what is wrong and what to do next, in the words of the command line."""

from __future__ import annotations

from faas.cli.context import App
from faas.cli.failures import CommandFailed, Exit, of_status
from faas.cli.profiles import DEFAULT_URL
from faas.errors import FaasError

_REACH = {
    "--url": "look at --url",
    "--profile": "look at the profile: faas profile ls",
    "FAAS_URL": "look at FAAS_URL",
    "config": "look at the profile: faas profile ls",
    "default": "start one on this machine with `faas dev`, or name one by --url, FAAS_URL or `faas profile set`",
}


def explain(error: FaasError, app: App) -> CommandFailed:
    """The failure that an error means."""
    if isinstance(error, CommandFailed):
        return error
    # Only a command that has used it can have an error of it.
    import sys

    if "faas.client.errors" not in sys.modules:
        return CommandFailed(" ".join(str(error).split()))
    from faas.client import errors

    if isinstance(error, errors.ConnectionFailed):
        return _unreachable(error, app)
    if isinstance(error, errors.ProblemError):
        return _refused(error, app)
    return CommandFailed(str(error))


def _unreachable(error: FaasError, app: App) -> CommandFailed:
    hint = _REACH.get(app.target.source, "")
    return CommandFailed(
        f"can't reach {app.target.url}: {_cause(error)}", Exit.UNREACHABLE, hint=hint, about={"url": app.target.url}
    )


def _cause(error: FaasError) -> str:
    return " ".join(str(error.__cause__ or error).split()) or "no answer"


def _refused(error: FaasError, app: App) -> CommandFailed:
    from faas.client import errors

    assert isinstance(error, errors.ProblemError)
    status = of_status(error.status)
    lines = [f"{name}: {' '.join(messages)}" for name, messages in error.errors.items()]
    if not error.problem and error.status == 404 and app.target.url != DEFAULT_URL:
        lines = [f"{app.target.url} answered 404 without saying why: is it a FaaS server?"]
    return CommandFailed(
        "\n".join(lines) or error.detail, status, hint=_HINTS.get(status), about={"problem": error.problem}
    )


_HINTS = {
    Exit.NOT_FOUND: "see what is there with `faas ls` or `faas ps`",
    Exit.PLATFORM: "try again in a moment; `faas doctor` tells what does not answer",
    Exit.DENIED: "give a key: FAAS_API_KEY, or `faas profile set NAME --url URL --api-key-stdin`",
}
