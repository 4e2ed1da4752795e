"""What a sandbox is asked to run."""

from __future__ import annotations

from dataclasses import dataclass

from faas.sandbox.log import Log


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of one invocation.

    Attributes:
        payload: JSON text.
        timeout_ms: from the handler's start; the engine's host-side deadline, kept by killing the sandbox.
        log: takes what is printed, for who reads it meanwhile; where it is left out, one that begins with what loading printed.
    """

    invocation_id: str
    payload: str
    headers: dict[str, str]
    timeout_ms: int
    log: Log | None = None
