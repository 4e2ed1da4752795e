from __future__ import annotations

import subprocess
import sys

import pytest

SERVER = (
    "flask",
    "celery",
    "kombu",
    "sqlalchemy",
    "psycopg2",
    "redis",
    "docker",
    "boto3",
    "marshmallow",
    "click",
    "rich",
)
LATER = ("httpx", "tenacity", "asyncio", "logging")


def loaded(code: str) -> set[str]:
    """The top modules of an interpreter that has run some code."""
    code += "\nimport sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


def test_importing_it_loads_nothing_of_a_server_and_no_http_library_yet() -> None:
    assert loaded("import faas.client") & {*SERVER, *LATER} == set()


def test_using_it_loads_nothing_of_a_server() -> None:
    modules = loaded("from faas.client import Client\nwith Client() as client: pass")
    assert "httpx" in modules
    # httpx has a command line of its own, made with click and rich, where those are there.
    assert modules & {*SERVER} <= {"click", "rich"}


def test_importing_it_takes_next_to_no_time() -> None:
    def total() -> int:
        done = subprocess.run(
            (sys.executable, "-X", "importtime", "-c", "import faas.client"),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        (line,) = [one for one in done.stderr.splitlines() if one.split("|")[-1].strip() == "faas.client"]
        return int(line.split("|")[1])

    # In microseconds; it is 35 ms on a machine that has nothing else to do.
    assert min(total() for _ in range(5)) < 200_000


def test_what_needs_more_is_exported_all_the_same() -> None:
    from faas import client
    from faas.client.aio import AsyncClient
    from faas.client.transactional import enqueue

    assert client.AsyncClient is AsyncClient
    assert client.enqueue is enqueue
    with pytest.raises(AttributeError, match="nonsense"):
        _ = client.nonsense
