"""Statements that PostgreSQL reads and plans once for each connection: for the three of every invocation that was a sixth of what they cost it."""

from __future__ import annotations

import itertools
import re
from typing import Any

from psycopg2 import errors

# One that the connection does not know any more (somebody in between let go all), or whose columns are of other types since a migration.
_STALE = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)


class Prepared:
    """A statement by name. For single statements alone (`Database.autocommit`): where it is stale, it fails first, and is prepared again.

    Args:
        name: no other statement of the process has it.
        types: of the parameters, in order, with commas.
        sql: each `%s` in it is a parameter.
    """

    __slots__ = ("_forget", "_name", "_prepare", "execute")

    def __init__(self, name: str, types: str, sql: str) -> None:
        numbers = itertools.count(1)
        body = re.sub("%s", lambda _: f"${next(numbers)}", sql)
        self._name = name
        self._prepare = f"PREPARE {name} ({types}) AS {body}"
        self._forget = f"DEALLOCATE {name}"
        self.execute = f"EXECUTE {name} ({', '.join(['%s'] * (next(numbers) - 1))})"

    def run(self, cursor: Any, known: set[str], parameters: Any) -> None:
        """Execute it on a connection.

        Args:
            known: the names of what is prepared on the connection.
        """
        if self._name not in known:
            cursor.execute(self._prepare)
            known.add(self._name)
        try:
            cursor.execute(self.execute, parameters)
        except _STALE as error:
            known.discard(self._name)
            if not isinstance(error, errors.InvalidSqlStatementName):
                cursor.execute(self._forget)
            cursor.execute(self._prepare)
            known.add(self._name)
            cursor.execute(self.execute, parameters)
