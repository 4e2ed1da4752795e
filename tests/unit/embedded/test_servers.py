"""PostgreSQL and Redis as `faas dev` runs them."""

from __future__ import annotations

import os
import signal
import stat

import psycopg2
import pytest
import redis

from faas.embedded import postgres, redis_server
from faas.embedded.process import Child

PATIENCE = 60.0


@pytest.fixture
def children():
    started = []
    yield started
    for child in reversed(started):
        child.stop()


def serve(server, children) -> Child:
    child = Child(server.program)
    children.append(child)
    child.wait_ready(PATIENCE)
    return child


def query(url: str, *statements: str):
    connection = psycopg2.connect(url, connect_timeout=10)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()
    finally:
        connection.close()


def test_what_was_committed_survives_a_kill_of_the_server(tmp_path, children):
    server = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    child = serve(server, children)
    assert query(server.url, "SELECT current_database(), current_setting('fsync')") == ("faas", "on")
    query(server.url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    os.kill(child.pid, signal.SIGKILL)
    child.kill()

    again = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    serve(again, children)
    assert query(again.url, "SELECT n FROM kept") == (7,)


def test_postgres_wants_its_password_and_keeps_it_from_others(tmp_path, children):
    server = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    serve(server, children)
    password = server.url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        query(server.url.replace(password, "wrong"), "SELECT 1")
    assert stat.S_IMODE((tmp_path / "postgres" / "password").stat().st_mode) == 0o600
    assert password not in " ".join(server.program.argv)


def test_postgres_stops_in_good_order_with_a_client_connected(tmp_path, children):
    server = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    child = serve(server, children)
    connection = psycopg2.connect(server.url)
    child.stop()
    connection.close()
    assert child.status == 0
    assert "database system is shut down" in (tmp_path / "log").read_text()


def test_a_pid_file_that_names_another_process_is_no_hindrance(tmp_path, children):
    server = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    data = tmp_path / "postgres" / "data"
    (data / "postmaster.pid").write_text(f"{os.getppid()}\n{data}\n1\n5432\n\n\n\n\n")
    again = postgres.prepare(tmp_path / "postgres", tmp_path / "log")
    serve(again, children)
    assert again.url.split("@")[0] == server.url.split("@")[0]


def test_redis_wants_its_password_and_keeps_it_from_others(tmp_path, children):
    server = redis_server.prepare(tmp_path / "redis", tmp_path / "log")
    serve(server, children)
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}
    password = server.url.split(":")[2].split("@")[0]
    with (
        redis.Redis.from_url(server.url.replace(password, "wrong")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600
    assert password not in " ".join(server.program.argv)
