"""Namespaces: parts of a platform that can't see each other. A function belongs to one, and its invocations and secrets with it; so does a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Where nothing is said. Its keys with the scope `admin` are the platform's own.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace. Its name has the shape of a function's."""

    name: str
    created_at: datetime
