"""What an engine supplies for each sandbox: a process or container that can be limited, watched and killed. The rest is `Session`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Death:
    """How the sandbox's process ended: by itself with a status, or by a signal."""

    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False


class Body(Protocol):
    """The process or container of one sandbox."""

    def limit(self, memory_mb: int, cpus: float) -> None:
        """Give a generic sandbox the limits of its revision. Raises SandboxError."""
        ...

    def kill(self) -> None:
        """End everything in it at once. Idempotent, from any thread, does not wait and never raises."""
        ...

    def death(self, timeout_s: float) -> Death | None:
        """Wait for its end; None where it still lives after `timeout_s`. Never raises; asked again it gives the same answer."""
        ...

    def oom_kills(self) -> int:
        """How many processes in it the kernel has killed for want of memory so far; 0 where that can't be known. Never raises."""
        ...

    def memory_peak_mb(self) -> float | None:
        """The most memory used since `reset_peak`, or since the start; None where that can't be known. Never raises."""
        ...

    def reset_peak(self) -> None:
        """Begin a new measurement, where the kernel can. Never raises."""
        ...

    def processes(self) -> int | None:
        """How many processes live in it: no zombies, and threads don't count. None where that can't be known. Never raises."""
        ...

    def outnumbers(self, count: int) -> bool:
        """Whether more processes than that live in it; False where that can't be known. Never raises."""
        ...

    def freeze(self) -> bool:
        """Let nothing in it run until `thaw`; False where that can't be done. Never raises."""
        ...

    def thaw(self) -> None:
        """Let it run on. Idempotent, never raises."""
        ...

    def remove(self) -> None:
        """Leave nothing of it behind but the exchange, which is the session's. Idempotent, never raises."""
        ...
