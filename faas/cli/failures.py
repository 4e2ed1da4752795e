"""How commands fail: an exit status that scripts can use, one sentence that says what is wrong, and one that says what to do next."""

from __future__ import annotations

import enum
from typing import Any

from faas.errors import FaasError


class Exit(enum.IntEnum):
    """The exit statuses of all commands (docs/cli.md has the same table)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    PLATFORM = 5
    DENIED = 6
    UNFINISHED = 7
    INTERRUPTED = 130


class CommandFailed(FaasError):
    """A command can't do what it was asked to.

    Args:
        message: what is wrong; one line, or several where each is a finding of its own.
        status: the exit status.
        hint: what to do next.
        about: more for `--json`.
    """

    def __init__(
        self, message: str, status: Exit = Exit.FAILED, *, hint: str | None = None, about: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.hint, self.about = message, status, hint, about or {}

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows on standard error."""
        return {"error": {"message": self.message, "exit_status": int(self.status), "hint": self.hint, **self.about}}


def of_status(http_status: int) -> Exit:
    """The exit status that goes with an HTTP status of 400 or over."""
    known = {401: Exit.DENIED, 403: Exit.DENIED, 404: Exit.NOT_FOUND}
    return known.get(http_status, Exit.PLATFORM if http_status >= 500 else Exit.FAILED)
