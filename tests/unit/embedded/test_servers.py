"""PostgreSQL and Redis as `faas dev` runs them."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from pathlib import Path

import psycopg2
import pytest
import redis

from faas.db.database import Database
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


def test_postgres_is_reached_by_a_socket_file_too_with_its_password(tmp_path, children):
    # A path that is short enough, whatever the folder for temporary files is called.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as short:
        Path(short).chmod(0o755)
        server = postgres.prepare(Path(short) / "p g", tmp_path / "log")
        child = serve(server, children)
        assert query(server.near_url, "SELECT inet_server_addr(), current_database()") == (None, "faas")
        assert query(server.url, "SELECT host(inet_server_addr())") == ("127.0.0.1",)
        password = server.url.split(":")[2].split("@")[0]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            query(server.near_url.replace(password, "wrong"), "SELECT 1")
        opened = Database(server.near_url, connections=1)
        opened.ping()
        opened.close()
        os.kill(child.pid, signal.SIGKILL)
        child.kill()
        again = postgres.prepare(Path(short) / "p g", tmp_path / "log")
        serve(again, children)
        assert query(again.near_url, "SELECT 1") == (1,)
        assert len(list((Path(short) / "p g" / "data").glob(".s.PGSQL.*"))) == 2
        children[-1].stop()


def test_a_folder_whose_path_is_too_long_for_a_socket_file_is_served_over_tcp_alone(tmp_path, children):
    folder = tmp_path / ("x" * 100)
    server = postgres.prepare(folder, tmp_path / "log")
    serve(server, children)
    assert server.near_url == server.url
    assert query(server.near_url, "SELECT host(inet_server_addr())") == ("127.0.0.1",)


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
