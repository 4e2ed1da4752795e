"""Connections to PostgreSQL: one pool for each process, with a time limit on everything.

SQLAlchemy's tables and pool, the driver's own cursors: on the hot path SQLAlchemy's engine, connection and result objects cost as much as the
statements (docs/performance.md).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extras import NamedTupleCursor
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from faas.db.overdue import Overdue
from faas.errors import DatabaseDown
from faas.telemetry.catalogue import DATABASE_FAILURES, DATABASE_SECONDS
from faas.telemetry.counts import Counts

_CONNECT_SECONDS = 5
_POOL_SECONDS = 10
_RESTED_SECONDS = 1.0
# More than the server lets two statements take; a statement after that is none that it will answer.
_USE_SECONDS = 75.0
_USED_AT = "faas.used_at"
# The server ends what a client forgot: a statement, a wait for a lock, an open transaction (milliseconds).
_SERVER_LIMITS = (
    "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=30000 -c TimeZone=UTC"
)
# undefined_table and undefined_function (PostgreSQL's manual, "Error Codes"): so it is where the migrations have not run yet.
_NO_SUCH_TABLE = ("42P01", "42883")
# One for each process, however many databases it opens: it is a thread.
_OVERDUE = Overdue(_USE_SECONDS)

Parameters = Mapping[str, Any] | Sequence[Any]


class Transaction:
    """A connection for the length of one transaction (or of one autocommit block). SQL goes to the driver as it is written (`%(name)s`)."""

    def __init__(self, cursor: Any, counts: Counts, kind: str) -> None:
        self._cursor, self._counts, self._kind = cursor, counts, kind

    def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Execute; the number of rows that it touched."""
        return int(self._execute(sql, parameters).rowcount)

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Any]:
        """All rows, as named tuples."""
        return list(self._execute(sql, parameters).fetchall())

    def one(self, sql: str, parameters: Parameters | None = None) -> Any | None:
        """The first row, as a named tuple, or None."""
        return self._execute(sql, parameters).fetchone()

    def _execute(self, sql: str, parameters: Parameters | None) -> Any:
        began = time.monotonic()
        self._cursor.execute(sql, parameters)
        self._counts.observe(DATABASE_SECONDS, time.monotonic() - began, self._kind)
        return self._cursor


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
        self._url, self._name, self._overdue = url, name, overdue or _OVERDUE
        self._lock = threading.Lock()
        self._pool = QueuePool(
            self._connect,
            pool_size=connections,
            max_overflow=0,
            timeout=_POOL_SECONDS,
            use_lifo=True,
            # Connections commit by themselves; a transaction ends in `begin`, whatever happens.
            reset_on_return=None,
        )

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction: committed at the end, rolled back by an exception. Raises DatabaseDown where the server is away."""
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield Transaction(cursor, self.counts, "other")
            except BaseException:
                # A connection that can't roll back is found to be broken by `_cursor`.
                with contextlib.suppress(psycopg2.Error):
                    cursor.execute("ROLLBACK")
                raise
            Transaction(cursor, self.counts, "commit").run("COMMIT")

    @contextmanager
    def autocommit(self, kind: str = "other") -> Iterator[Transaction]:
        """Single statements, each committed by itself: a round trip instead of three. `kind`: as what their times are counted."""
        with self._cursor() as cursor:
            yield Transaction(cursor, self.counts, kind)

    def ping(self) -> None:
        """Raises DatabaseDown where PostgreSQL does not answer."""
        with self.autocommit() as tx:
            tx.one("SELECT 1")

    def close(self) -> None:
        """Close all connections; a later use opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, self._pool.recreate()
        pool.dispose()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor on a connection of the pool. The driver's errors come out of it as ours."""
        try:
            connection = self._take()
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    yield cursor
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self._drop_broken(connection)
                raise
            finally:
                self._overdue.end(connection.dbapi_connection)
                if connection.is_valid:
                    connection.info[_USED_AT] = time.monotonic()
                connection.close()
        except PoolTimeout as error:
            self.counts.add(DATABASE_FAILURES)
            raise DatabaseDown("every connection to PostgreSQL is in use") from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            self.counts.add(DATABASE_FAILURES)
            raise DatabaseDown(f"PostgreSQL does not answer: {_first_line(error)}") from error
        except psycopg2.Error as error:
            if error.pgcode in _NO_SUCH_TABLE:
                raise DatabaseDown("the tables are not there: run the migrations (make migrate-up)") from error
            # Errors of a statement stay what they are: they are bugs of ours.
            raise

    def _take(self) -> PoolProxiedConnection:
        """A connection that lives. One that rested is asked: a round trip, against an error for somebody at every restart of the server.

        One that was used just now is not asked: under load that would be a quarter of all round trips.
        """
        while True:
            connection = self._pool.connect()
            self._overdue.begin(connection.dbapi_connection)
            if time.monotonic() - connection.info.get(_USED_AT, time.monotonic()) <= _RESTED_SECONDS:
                return connection
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute("SELECT 1")
            except psycopg2.Error:
                self._drop_broken(connection)
                connection.close()
            else:
                return connection

    def _drop_broken(self, connection: PoolProxiedConnection) -> None:
        """Drop a connection that broke, and all that rest: what ended it (a restart of the server) ended them too."""
        driver: Any = connection.dbapi_connection
        self._overdue.end(driver)
        if driver is not None and driver.closed:
            connection.invalidate()
            self.close()

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
            cursor_factory=NamedTupleCursor,
        )
        connection.autocommit = True
        return connection


def _first_line(error: psycopg2.Error) -> str:
    return str(error).strip().partition("\n")[0]
