"""Namespaces: making and listing them, and telling what belongs to one."""

from __future__ import annotations

import functools

from faas.db import namespaces
from faas.db.database import Database
from faas.db.invocations import missing
from faas.domain.namespace import Namespace
from faas.errors import NotFound

# What belongs where never changes, so it is asked once for each; those asked for last.
_KEPT = 10_000


class Namespaces:
    """The use cases of namespaces, for one process; threads share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of_function = functools.lru_cache(_KEPT)(self._function)
        self._of_invocation = functools.lru_cache(_KEPT)(self._invocation)

    def create(self, name: str) -> Namespace:
        """Make one. Raises Conflict where it is there."""
        return namespaces.add(self._database, name)

    def find(self) -> list[Namespace]:
        """All of them, by name."""
        return namespaces.find(self._database)

    def require_invocation(self, namespace: str, invocation_id: str) -> None:
        """See that an invocation is in a namespace. Raises NotFound, as for one that is nowhere."""
        if self._of_invocation(invocation_id) != namespace:
            raise missing(invocation_id)

    def require_record(self, namespace: str, invocation_id: str, function_id: str) -> None:
        """The same for one whose record is at hand: mostly without a look into the database."""
        if self._of_function(function_id) != namespace:
            raise missing(invocation_id)

    def _function(self, function_id: str) -> str:
        found = namespaces.of_function(self._database, function_id)
        if found is None:
            # Raised, and so not kept: it may be made yet.
            raise NotFound("There is no such function.")
        return found

    def _invocation(self, invocation_id: str) -> str:
        found = namespaces.of_invocation(self._database, invocation_id)
        if found is None:
            raise missing(invocation_id)
        return found
