"""How long an idle sandbox is kept for the next call of its revision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FixedKeepAlive:
    """The same time for every revision.

    Args:
        seconds: 0 keeps none.
    """

    seconds: float

    def seconds_for(self, key: tuple[str, int]) -> float:
        """The time for the revision `key` (`Revision.key`)."""
        return self.seconds
