"""Real servers for every test that asks for one: PostgreSQL and Redis from the wheels, started once."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

import psycopg2
import pytest
import redis
from factories import administer

from faas.db.database import Database
from faas.embedded import postgres, redis_server
from faas.embedded.process import Child
from faas.queueing.publisher import Publisher
from faas.web import migrate

START_SECONDS = 90.0
_numbers = itertools.count(1)
# What a test may leave behind, each before the one that it refers to.
_TABLES = (
    "attempts",
    "invocations",
    "idempotency_keys",
    "workers",
    "slots",
    "function_revisions",
    "functions",
    "api_keys",
    "secrets",
    "audit",
    "usage",
    "function_stats",
    "function_totals",
    "namespaces WHERE name <> 'default'",
)
_NO_QUOTAS = """UPDATE namespaces SET requests_per_minute = NULL, queued = NULL, concurrent = NULL, code_mb = NULL,
    cpu_seconds_per_day = NULL"""


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start: whoever runs them in the background of a shell has it ignored, and so would all children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of PostgreSQL (its database `faas` is a template with all migrations) and of Redis."""
    folder = tmp_path_factory.mktemp("servers")
    database = postgres.prepare(folder / "postgres", folder / "postgres.log")
    broker = redis_server.prepare(folder / "redis", folder / "redis.log")
    children = [Child(database.program), Child(broker.program)]
    try:
        for child in children:
            child.wait_ready(START_SECONDS)
        migrate.upgrade(database.url)
        yield database.url, broker.url
    finally:
        for child in children:
            child.stop()


@pytest.fixture
def fresh_database_url(servers: tuple[str, str]) -> Iterator[str]:
    """A migrated database of the test's own, for those that change its tables. It takes a second to make: `database_url` does for the others."""
    name = f"test_{next(_numbers)}"
    administer(servers[0], f"CREATE DATABASE {name} TEMPLATE faas")
    try:
        yield servers[0].rpartition("/")[0] + f"/{name}"
    finally:
        administer(servers[0], f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_database_url(servers: tuple[str, str]) -> str:
    """The database that `database_url` empties."""
    administer(servers[0], "CREATE DATABASE shared TEMPLATE faas")
    return servers[0].rpartition("/")[0] + "/shared"


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """A migrated, empty database."""
    administer(
        shared_database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared'",
    )
    connection = psycopg2.connect(shared_database_url)
    try:
        with connection, connection.cursor() as cursor:
            for table in _TABLES:
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute(_NO_QUOTAS)
            cursor.execute("UPDATE platform SET stats_until = NULL")
    finally:
        connection.close()
    return shared_database_url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The repositories' way into it."""
    opened = Database(database_url, connections=20)
    yield opened
    opened.close()


@pytest.fixture
def redis_url(servers: tuple[str, str]) -> str:
    """An empty Redis."""
    client = redis.Redis.from_url(servers[1])
    client.flushall()
    client.close()
    return servers[1]


@pytest.fixture
def publisher(redis_url: str) -> Iterator[Publisher]:
    """A publisher to it."""
    opened = Publisher(redis_url)
    yield opened
    opened.close()
