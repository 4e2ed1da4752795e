"""Connections to PostgreSQL: one pool for each process, with a time limit on everything.

The driver's own cursors on a pool of our own: on the hot path SQLAlchemy's engine, connection and result objects cost as much as the statements
(docs/performance.md), and its pool half as much as a statement (decision 9).
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import psycopg2

from faas.db.overdue import Overdue
from faas.db.pool import Connection, Pool
from faas.db.prepared import Prepared
from faas.errors import DatabaseDown
from faas.telemetry.catalogue import DATABASE_FAILURES, DATABASE_SECONDS
from faas.telemetry.counts import Counts

_CONNECT_SECONDS = 5
_POOL_SECONDS = 10
# More than the server lets two statements take; a statement after that is none that it will answer.
_USE_SECONDS = 75.0
# The server ends what a client forgot: a statement, a wait for a lock, an open transaction (milliseconds).
_SERVER_LIMITS = (
    "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=30000 -c TimeZone=UTC"
)
# undefined_table and undefined_function (PostgreSQL's manual, "Error Codes"): so it is where the migrations have not run yet.
_NO_SUCH_TABLE = ("42P01", "42883")
_BREAKING = (psycopg2.OperationalError, psycopg2.InterfaceError)
# One for each process, however many databases it opens: it is a thread.
_OVERDUE = Overdue(_USE_SECONDS)

Parameters = Mapping[str, Any] | Sequence[Any]
Statement = str | Prepared

# By statement: the driver's own named tuples cost 14 µs for each row of ten columns.
_MAKERS: dict[Statement, Callable[[Any], Any]] = {}
_MOST_MAKERS = 1000
# By another name, since mypy wants to know the columns.
_row_type: Any = namedtuple


class Transaction:
    """A connection for the length of a `with`: of single statements, each committed by itself. SQL goes to the driver as it is written (`%(name)s`).

    Args:
        kind: as what the times of its statements are counted.
    """

    __slots__ = ("_connection", "_counts", "_cursor", "_kind", "_pool")

    _connection: Connection
    _cursor: Any

    def __init__(self, pool: Pool, counts: Counts, kind: str) -> None:
        self._pool, self._counts, self._kind = pool, counts, kind

    def __enter__(self) -> Self:
        """Raises DatabaseDown where the server is away."""
        try:
            self._connection = self._pool.take(_POOL_SECONDS)
        except queue.Empty as error:
            self._counts.add(DATABASE_FAILURES)
            raise DatabaseDown("every connection to PostgreSQL is in use") from error
        except psycopg2.Error as error:
            self._raise_as_ours(error)
            raise
        self._cursor = self._connection.driver.cursor()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back(error)
        if error is not None:
            self._raise_as_ours(error)

    def run(self, sql: Statement, parameters: Parameters | None = None) -> int:
        """Execute; the number of rows that it touched."""
        return int(self._execute(sql, parameters).rowcount)

    def rows(self, sql: Statement, parameters: Parameters | None = None) -> list[Any]:
        """All rows, as named tuples."""
        cursor = self._execute(sql, parameters)
        return list(map(_maker(sql, cursor), cursor.fetchall()))

    def one(self, sql: Statement, parameters: Parameters | None = None) -> Any | None:
        """The first row, as a named tuple, or None."""
        cursor = self._execute(sql, parameters)
        row = cursor.fetchone()
        return row if row is None else _maker(sql, cursor)(row)

    def _execute(self, sql: Statement, parameters: Parameters | None) -> Any:
        began = time.monotonic()
        if isinstance(sql, Prepared):
            sql.run(self._cursor, self._connection.prepared, parameters)
        else:
            self._cursor.execute(sql, parameters)
        self._counts.observe(DATABASE_SECONDS, time.monotonic() - began, self._kind)
        return self._cursor

    def _give_back(self, error: BaseException | None) -> None:
        if _is_breaking(error):
            if type(error) is psycopg2.DatabaseError:
                self._connection.driver.close()
            self._pool.broken(self._connection)
        self._cursor.close()
        self._pool.give(self._connection)

    def _raise_as_ours(self, error: BaseException) -> None:
        """The driver's errors come out as ours. Those of a statement stay what they are: they are bugs of ours."""
        if _is_breaking(error):
            self._counts.add(DATABASE_FAILURES)
            raise DatabaseDown(f"PostgreSQL does not answer: {_first_line(error)}") from error
        if isinstance(error, psycopg2.Error) and error.pgcode in _NO_SUCH_TABLE:
            raise DatabaseDown("the tables are not there: run the migrations (make migrate-up)") from error


class _Begun(Transaction):
    """One transaction: committed at the end, rolled back by an exception."""

    __slots__ = ()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._cursor.execute("BEGIN")
        except BaseException as error:
            self._give_back(error)
            self._raise_as_ours(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._kind = "commit"
                self.run("COMMIT")
            except BaseException as failed:
                super().__exit__(type(failed), failed, trace)
                raise
        else:
            # A connection that can't roll back is closed by the driver, and the pool drops it.
            with contextlib.suppress(psycopg2.Error):
                self._cursor.execute("ROLLBACK")
        super().__exit__(kind, error, trace)


class Database:
    """PostgreSQL, for one process. Nothing connects before the first use, so it may be made before a fork.

    Args:
        url: `postgresql://…`.
        connections: the most that are open at once.
        name: `application_name`, seen in `pg_stat_activity`.
        overdue: what cuts a connection to a server that is stopped.
        counts: where what happens is counted; `counts` for the repositories.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 16,
        name: str = "faas",
        overdue: Overdue | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.counts = counts or Counts()
        self._url, self._name = url, name
        self._pool = Pool(self._connect, connections, overdue or _OVERDUE)

    def begin(self) -> Transaction:
        """A transaction: committed at the end of the `with`, rolled back by an exception."""
        return _Begun(self._pool, self.counts, "other")

    def autocommit(self, kind: str = "other") -> Transaction:
        """Single statements, each committed by itself: a round trip instead of three. `kind`: as what their times are counted."""
        return Transaction(self._pool, self.counts, kind)

    def ping(self) -> None:
        """Raises DatabaseDown where PostgreSQL does not answer."""
        with self.autocommit() as tx:
            tx.one("SELECT 1")

    def close(self) -> None:
        """Close all connections; a later use opens new ones."""
        self._pool.close()

    def _connect(self) -> Any:
        connection = psycopg2.connect(
            self._url,
            connect_timeout=_CONNECT_SECONDS,
            application_name=self._name,
            options=_SERVER_LIMITS,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=15000,
        )
        connection.autocommit = True
        return connection


def _maker(sql: Statement, cursor: Any) -> Callable[[Any], Any]:
    """What makes a named tuple of a row. The text of a statement says which columns it has, so their names are asked for once."""
    maker = _MAKERS.get(sql)
    if maker is None:
        if len(_MAKERS) >= _MOST_MAKERS:
            _MAKERS.clear()
        names = tuple(column.name for column in cursor.description)
        row: Any = _row_type("Row", names, rename=True)
        maker = _MAKERS[sql] = row._make
    return maker


def _is_breaking(error: BaseException | None) -> bool:
    """Whether it tells of the connection, not of the statement."""
    # What the server says has a class of its own. Of a crashed server's socket file the driver tells in this general one, and thinks that it is open.
    return isinstance(error, _BREAKING) or type(error) is psycopg2.DatabaseError


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
