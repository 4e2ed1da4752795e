"""Connections to PostgreSQL: one pool for each process, with a time limit on everything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from faas.errors import DatabaseDown

_CONNECT_SECONDS = 5
_POOL_SECONDS = 10
_RESTED_SECONDS = 1.0
_USED_AT = "faas.used_at"
# The server ends what a client forgot: a statement, a wait for a lock, an open transaction (milliseconds).
_SERVER_LIMITS = (
    "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=30000 -c TimeZone=UTC"
)
# undefined_table and undefined_function (PostgreSQL's manual, "Error Codes"): so it is where the migrations have not run yet.
_NO_SUCH_TABLE = ("42P01", "42883")

Parameters = Mapping[str, Any] | Sequence[Any]


class Transaction:
    """A connection for the length of one transaction (or of one autocommit block). SQL goes to the driver as it is written (`%(name)s`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Execute; the number of rows that it touched."""
        return self._execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Any]:
        """All rows."""
        return list(self._execute(sql, parameters).fetchall())

    def one(self, sql: str, parameters: Parameters | None = None) -> Any | None:
        """The first row, or None."""
        return self._execute(sql, parameters).first()

    def _execute(self, sql: str, parameters: Parameters | None) -> CursorResult[Any]:
        return self._connection.exec_driver_sql(
            sql, dict(parameters) if isinstance(parameters, Mapping) else parameters
        )


class Database:
    """PostgreSQL, for one process. Nothing connects before the first use, so it may be made before a fork.

    Args:
        url: `postgresql://…`.
        connections: the most that are open at once.
        name: `application_name`, seen in `pg_stat_activity`.
    """

    def __init__(self, url: str, *, connections: int = 16, name: str = "faas") -> None:
        self._engine: Engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg2://", 1),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            pool_use_lifo=True,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "application_name": name,
                "options": _SERVER_LIMITS,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15000,
            },
        )
        event.listen(self._engine, "checkin", _remember_use)
        event.listen(self._engine, "checkout", self._check_rested)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction: committed at the end, rolled back by an exception. Raises DatabaseDown where the server is away."""
        with _translated(), self._engine.begin() as connection:
            yield Transaction(connection)

    @contextmanager
    def autocommit(self) -> Iterator[Transaction]:
        """Single statements, each committed by itself: a round trip instead of three."""
        with _translated(), self._autocommit.connect() as connection:
            yield Transaction(connection)

    def _check_rested(self, connection: Any, record: Any, _: Any) -> None:
        """Ask whether a connection that rested still lives: a round trip, against an error for somebody at every restart of the server.

        One that was used just now is not asked: under load that would be a quarter of all round trips.
        """
        if time.monotonic() - record.info.get(_USED_AT, time.monotonic()) > _RESTED_SECONDS:
            try:
                self._engine.dialect.do_ping(connection)
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError("the connection was lost while it rested") from error

    def ping(self) -> None:
        """Raises DatabaseDown where PostgreSQL does not answer."""
        with self.autocommit() as tx:
            tx.one("SELECT 1")

    def close(self) -> None:
        """Close all connections; a later use opens new ones."""
        self._engine.dispose()


def _remember_use(_: Any, record: Any) -> None:
    record.info[_USED_AT] = time.monotonic()


@contextmanager
def _translated() -> Iterator[None]:
    """SQLAlchemy's ways to say that the server is away, as `DatabaseDown`. Errors of a statement stay what they are: they are bugs of ours."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseDown("every connection to PostgreSQL is in use") from error
    except (OperationalError, InterfaceError) as error:
        raise DatabaseDown(f"PostgreSQL does not answer: {_first_line(error)}") from error
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) in _NO_SUCH_TABLE:
            raise DatabaseDown("the tables are not there: run the migrations (make migrate-up)") from error
        if error.connection_invalidated:
            raise DatabaseDown(f"the connection to PostgreSQL was lost: {_first_line(error)}") from error
        raise


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
