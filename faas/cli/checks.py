"""What `faas doctor` looks at. Each check says how it is, and what to do where it is not well."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faas.cli.output import size
from faas.errors import FaasError

if TYPE_CHECKING:
    from faas.config import Settings

OK, WARN, FAIL = "ok", "warn", "fail"
_LEAST_PYTHON = (3, 11)
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2_000_000_000, 300_000_000
_CONNECT_S = 5.0
_DATABASE_NAMES = ("DATABASE_URL", "DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")
_REDIS_NAMES = ("REDIS_URL", "REDIS_ADDR")


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is: `ok`, `warn` (something is not possible) or `fail` (what is asked for can't work)."""

    check: str
    state: str
    detail: str
    remedy: str | None = None


def of_machine() -> Iterator[Finding]:
    """What functions and servers need from this machine."""
    yield python()
    yield docker()
    yield cgroup()
    yield toolchain("Node.js for the simple engine", _node, "npm functions need it where there is no Docker")
    yield toolchain("Go for the simple engine", _go, "Go functions need it where there is no Docker")
    yield embedded()


def of_deployment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the environment names: the configuration, PostgreSQL, Redis, the place for code."""
    from faas import config

    try:
        settings = config.load(environ)
    except FaasError as error:
        yield Finding("configuration", FAIL, str(error), "correct the variable (docs/configuration.md)")
        return
    yield Finding("configuration", OK, "every variable can be right")
    yield database(settings, named=any(environ.get(name) for name in _DATABASE_NAMES))
    yield redis(settings, named=any(environ.get(name) for name in _REDIS_NAMES))
    yield disk("disk for code", settings.storage_base_dir)
    yield disk("disk for sandboxes", settings.worker_work_dir)


def python() -> Finding:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _LEAST_PYTHON:
        return Finding("Python", FAIL, f"{version} is too old", "install Python 3.11 or newer")
    return Finding("Python", OK, version)


def docker() -> Finding:
    """Docker and the runtime images: what makes sandboxes a security boundary."""
    from faas.sandbox import container

    reason = container.available()
    if reason is None:
        return Finding("Docker", OK, "answers, and the runtime images are there")
    remedy = (
        "make build-runtime-images" if "image" in reason else "install and start Docker, and let this account use it"
    )
    return Finding("Docker", WARN, f"{' '.join(reason.split())}; only the simple engine can be used", remedy)


def cgroup() -> Finding:
    """Version 2 is what limits of memory and processes are kept by."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return Finding("cgroup", OK, "version 2")
    return Finding(
        "cgroup", WARN, "not version 2: memory limits are less exact", "boot with systemd.unified_cgroup_hierarchy=1"
    )


def toolchain(name: str, find: Callable[[], str], otherwise: str) -> Finding:
    """A language's program for the simple engine."""
    try:
        return Finding(name, OK, find())
    except FaasError as error:
        missing, _, remedy = str(error).partition(": ")
        return Finding(name, WARN, f"{missing}; {otherwise}", remedy or None)


def embedded() -> Finding:
    """The servers of `faas dev`."""
    from faas.embedded import wheels

    try:
        wheels.postgres_programs()
        wheels.redis_program()
    except FaasError as error:
        return Finding("servers of faas dev", WARN, str(error), "pip install 'faas-platform[embedded]'")
    return Finding("servers of faas dev", OK, "PostgreSQL and Redis are there")


def database(settings: Settings, *, named: bool) -> Finding:
    """Whether PostgreSQL answers, and has the tables of this version.

    Args:
        named: whether the environment names one; else it may well be that none is meant.
    """
    from faas.db.database import Database

    opened = Database(settings.database_url, connections=1, name="faas doctor")
    try:
        with opened.autocommit() as transaction:
            exists = transaction.one("SELECT to_regclass('alembic_version') IS NOT NULL AS yes")
            row = transaction.one("SELECT version_num FROM alembic_version") if exists and exists.yes else None
    except FaasError as error:
        return _absent("PostgreSQL", str(error), "DATABASE_URL", named)
    finally:
        opened.close()
    have, want = row.version_num if row else None, _newest_migration()
    if have != want:
        state = f"at migration {have}, and {want} is the newest" if have else "answers, and has no tables yet"
        return Finding("PostgreSQL", FAIL, state, "faas db upgrade")
    return Finding("PostgreSQL", OK, f"answers, at migration {have}")


def redis(settings: Settings, *, named: bool) -> Finding:
    """Whether Redis answers."""
    import redis as library

    client = library.Redis.from_url(settings.redis_url, socket_connect_timeout=_CONNECT_S, socket_timeout=_CONNECT_S)
    try:
        client.ping()
    except (library.RedisError, OSError) as error:
        return _absent("Redis", str(error), "REDIS_URL", named)
    finally:
        client.close()
    return Finding("Redis", OK, "answers")


def disk(name: str, path: Path) -> Finding:
    """Free space where a folder is, or will be."""
    there = next((one for one in (path.absolute(), *path.absolute().parents) if one.exists()), Path("/"))
    if not os.access(there, os.W_OK):
        return Finding(
            name, FAIL, f"{there} can't be written by this account", "give it to the account, or name another folder"
        )
    free = shutil.disk_usage(there).free
    state = OK if free >= _LITTLE_BYTES else WARN if free >= _TOO_LITTLE_BYTES else FAIL
    return Finding(
        name, state, f"{size(free)} free at {there}", None if state == OK else "make room, or name another folder"
    )


def _absent(name: str, reason: str, variable: str, named: bool) -> Finding:
    detail = " ".join(reason.split())
    if named:
        return Finding(name, FAIL, detail, f"start it, or correct {variable}")
    return Finding(
        name,
        WARN,
        f"not named, and none at the default address ({detail})",
        f"`faas dev` brings its own; else set {variable}",
    )


def _newest_migration() -> str | None:
    from alembic.script import ScriptDirectory

    from faas.web.migrate import FOLDER

    return ScriptDirectory(str(FOLDER)).get_current_head()


def _node() -> str:
    from faas.sandbox import toolchain as programs

    return str(programs.node())


def _go() -> str:
    from faas.sandbox import toolchain as programs

    return str(programs.go().program)
