"""PostgreSQL's disk is full: submits are refused and never promised, and all goes on by itself when there is room again."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.cluster import eventually

from faults import history, rounds
from faults.platform import Platform
from faults.running import running

pytestmark = pytest.mark.timeout(600)

_DISK_MB = 256
# A payload of this size needs new pages, and soon new segments of the log.
_PAYLOAD_BYTES = 200_000
_TRIES = 400


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for a platform, with a small disk for PostgreSQL in it."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    root = tmp_path_factory.mktemp("full")
    place = root / "postgres"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0755", "faas-full-disk", place], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(folder: Path) -> Path:
    """A file that leaves no room."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(1 << 16))
        except OSError:
            return file


def test_a_full_disk_breaks_no_promise(disk: Path) -> None:
    with running(disk, "simple") as cluster:
        function = cluster.deploy(max_concurrency=10)
        before = cluster.invoke(function, {"token": "before"})
        ballast = fill(disk / "postgres")
        accepted, refused = [], 0
        for number in range(_TRIES):
            answer = cluster.call(
                "POST",
                "/invoke",
                json={
                    "function_id": function,
                    "payload": {"token": number, "ballast": secrets.token_hex(_PAYLOAD_BYTES // 2)},
                },
            )
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
                continue
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json"), (
                answer.text
            )
            assert int(answer.headers["Retry-After"]) > 0
            refused += 1
            if refused == 5:
                break
        assert refused == 5, f"{len(accepted)} fitted in"
        ballast.unlink()
        _recover(cluster)
        records = cluster.wait_all(accepted)
        assert {record["status"] for record in records} <= {"succeeded"}
        assert cluster.record(before["id"]) == before
        assert cluster.invoke(function, {"token": "after"})["result"]["token"] == "after"
        stories = history.by_invocation(history.read(cluster))
        assert {history.terminal_writes(stories[one]) for one in accepted} <= {1}
        # None but PostgreSQL had to be started again.
        assert cluster.ended_by_themselves() == []
        assert rounds.leaked(cluster) == []


def _recover(cluster: Platform) -> None:
    """PostgreSQL gives up where it can't write its log; whoever runs it starts it again."""

    def up() -> bool:
        if not cluster.alive("postgres"):
            cluster.begin("postgres")
        return all(cluster.call("GET", "/health", controller=one).status_code == 200 for one in cluster.controllers)

    eventually(up, "every controller is healthy")
