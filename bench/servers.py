"""PostgreSQL and Redis of the bench's own, from the wheels, with the settings that `faas dev` uses: synchronous commits on."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
import redis

from bench.processes import Processes
from faas.embedded import postgres, redis_server
from faas.embedded.ports import LOOPBACK

ORDER = ("redis", "postgres")


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers. The platform's processes reach PostgreSQL at `near_database_url`, as those of `faas dev` do."""

    database_url: str
    near_database_url: str
    redis_url: str


def start(processes: Processes, address: str | None = None) -> Servers:
    """Start both.

    Args:
        address: another address to be reached at, besides the loopback one; a network of 16 bits around it may log in.
    """
    open_way_to(processes.root)
    database = postgres.prepare(processes.root / "postgres", processes.log("postgres"))
    broker = redis_server.prepare(processes.root / "redis", processes.log("redis"))
    program = database.program
    if address is not None:
        # Of two settings of one name, the later one counts with both servers.
        program = replace(program, argv=(*program.argv, "-c", f"listen_addresses={LOOPBACK},{address}"))
        _append(processes.root / "postgres" / "data" / "pg_hba.conf", f"host all all {address}/16 scram-sha-256\n")
        _append(processes.root / "redis" / "redis.conf", f"bind {LOOPBACK} {address}\n")
    for one in (program, broker.program):
        processes.start(one)
    return Servers(database.url, database.near_url, broker.url)


def start_redis(processes: Processes, name: str) -> str:
    """One more Redis, by itself; its URL."""
    broker = redis_server.prepare(processes.root / name, processes.log(name))
    processes.start(replace(broker.program, name=name))
    return broker.url


def administer(database_url: str, statement: str) -> None:
    """Run one statement outside of a transaction."""
    connection = psycopg2.connect(database_url, connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def versions(running: Servers) -> dict[str, str]:
    """The servers' own words."""
    connection = psycopg2.connect(running.database_url, connect_timeout=10)
    try:
        number = connection.server_version
    finally:
        connection.close()
    with redis.Redis.from_url(running.redis_url) as client:
        return {"postgresql": f"{number // 10000}.{number % 10000}", "redis-server": client.info()["redis_version"]}


def open_way_to(root: Path) -> None:
    """Where root starts it, an account of its own serves PostgreSQL: it must get through to its folder."""
    for folder in (root, *root.parents):
        mode = folder.stat()
        if mode.st_uid == os.geteuid() and folder != Path("/") and not mode.st_mode & 0o001:
            folder.chmod(mode.st_mode | 0o011)


def _append(file: Path, line: str) -> None:
    with file.open("a") as out:
        out.write(line)
