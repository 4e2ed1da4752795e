"""The small interface that both engines stand behind, and the values that cross it.

A life of a sandbox: `Engine.start` makes a generic one (a "stem cell": the agent of a runtime is running and connected, and belongs to nobody);
`Sandbox.specialise` gives it to one revision for good; `Sandbox.invoke` runs calls one after another; `Sandbox.close` destroys it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from faas.domain.function import Network, Revision, Runtime
from faas.domain.outcome import Outcome
from faas.domain.secret import Secret
from faas.sandbox.call import Call
from faas.sandbox.channel import Turn
from faas.sandbox.log import Log


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a sandbox belongs to: the incarnation of a worker (unique to one start of one process)."""

    worker: str


@dataclass(slots=True)
class RunningCall:
    """A call that was begun.

    Attributes:
        turn: to be stepped by whoever polls the sandbox's descriptors, until it has its answer.
        kills: how many processes of the sandbox the kernel had killed for want of memory before.
        began, deadline: of `time.monotonic`; with no answer by then the call is concluded without.
        plain: whether `is_plain` has said so.
    """

    call: Call
    turn: Turn
    kills: int
    began: float
    deadline: float
    plain: bool = False


class Cancel:
    """A request to stop, made by one thread and heeded by the one that runs the call: `set` kills the sandbox that is attached at the time, or the next one."""

    def __init__(self) -> None:
        self._requested = False
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None

    @property
    def requested(self) -> bool:
        """Whether `set` was called."""
        return self._requested

    def set(self) -> None:
        """Ask for the end of the call."""
        with self._lock:
            self._requested = True
            sandbox = self._sandbox
        if sandbox is not None:
            sandbox.kill()

    def attach(self, sandbox: Sandbox) -> None:
        """Name the sandbox that `set` kills; kills it at once where `set` came first."""
        with self._lock:
            self._sandbox = sandbox
            late = self._requested
        if late:
            sandbox.kill()

    def detach(self) -> None:
        """No sandbox is to be killed any more."""
        with self._lock:
            self._sandbox = None


class Sandbox(Protocol):
    """One sandbox. One thread at a time uses it; `kill` may come from any."""

    @property
    def id(self) -> str: ...

    @property
    def usable(self) -> bool:
        """Whether it may be given another call: alive, in step with the protocol, nothing of an earlier call still running."""
        ...

    @property
    def spoiled(self) -> bool:
        """Whether it is known already that it may not; without a look at it, which is for whoever takes it next."""
        ...

    def specialise(
        self,
        revision: Revision,
        code: Path,
        timeout_ms: int,
        log: Log | None = None,
        secrets: Mapping[str, Secret] | None = None,
    ) -> Outcome | int:
        """Give the sandbox to a revision: limits, environment, code, loading the handler's module.

        Args:
            code: the folder with the unpacked code (for Go the one that holds the program `main`), which is only read.
            timeout_ms: of the call that waits for it; loading may take the larger of it and 10 s.
            log: takes what loading prints; to be given to the first call too.
            secrets: variables of its environment that travel in the frame alone.

        Returns:
            The milliseconds that loading took, or the `Outcome` of a load that failed (`Function.InitError`, `Function.OutOfMemory`,
            `Function.ExitError`, timed out); after that the sandbox is of no use.

        Raises:
            SandboxError: the platform's own failure.
        """
        ...

    def invoke(self, call: Call) -> Outcome:
        """Run one call to its end. `init_ms` and `cold_start` are left for the caller to fill in.

        Raises:
            SandboxError: the platform's own failure. A killed sandbox gives an outcome (`Function.ExitError` by SIGKILL); the caller knows
                whether it asked for it.
        """
        ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What is polled while a call that was begun is waited for. They don't change before it is closed."""
        ...

    def begin(self, call: Call) -> RunningCall:
        """The first part of `invoke`, for who serves many sandboxes from one thread. Raises SandboxError."""
        ...

    def answers(self, running: RunningCall, until: float) -> bool:
        """Step a call that was begun until it has its answer, at most until a time of `time.monotonic`; whether it has."""
        ...

    def is_plain(self, running: RunningCall) -> bool:
        """Whether `conclude` would be quick: there is an answer, and nothing that the call started is left."""
        ...

    def conclude(self, running: RunningCall) -> Outcome:
        """The last part of `invoke`. Where the call got no answer, it may wait for seconds to learn how the sandbox ended."""
        ...

    @property
    def frozen(self) -> bool:
        """Whether `freeze` has worked since its last call."""
        ...

    def freeze(self) -> None:
        """Let nothing in it run until the next call, where that can be done. Only while it is idle; idempotent, never raises."""
        ...

    def kill(self) -> None:
        """End everything in it at once. Idempotent, from any thread, does not wait and never raises."""
        ...

    def close(self) -> None:
        """Kill it, and leave nothing behind: no process, container, folder or descriptor. Idempotent, never raises."""
        ...


class Engine(Protocol):
    """A way to make sandboxes."""

    @property
    def name(self) -> str:
        """`container` or `simple`."""
        ...

    def start(self, runtime: Runtime, network: Network) -> Sandbox:
        """A generic sandbox whose agent has connected. Raises SandboxError."""
        ...

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        """Compile the Go sources in `source` to the program `output` in the same kind of sandbox, with a build cache that is the engine's own.

        Returns:
            None where it worked, else the compiler's words (at most 16 KiB). Raises SandboxError for the platform's own failure.
        """
        ...

    def leftovers(self) -> set[str]:
        """The worker incarnations that still own a sandbox, container or folder on this host, whoever made them."""
        ...

    def remove_leftovers(self, worker: str) -> int:
        """Remove all that a dead worker incarnation left on this host; how many things went."""
        ...

    def close(self) -> None:
        """Close every sandbox that this engine still has."""
        ...
