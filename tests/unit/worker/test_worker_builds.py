"""Compiling a revision in a worker."""

from __future__ import annotations

import pytest
from factories import accept, worker

from faas.db import builds as rows
from faas.db import functions, invocations
from faas.db.functions import Code
from faas.domain import ids
from faas.domain.function import FunctionState, Runtime
from faas.domain.invocation import Status
from faas.errors import DatabaseDown
from faas.worker import builds

GO = {"runtime": Runtime.GO, "handler": "main"}
PROGRAM = b'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("1") }\n'


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """One folder with one cache for all builds: Go's own library takes longest."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def bench(open_bench, work):
    return open_bench(WORKER_WORK_DIR=str(work))


def state(bench, made):
    return functions.get(bench.context.database, made.id)


@pytest.mark.timeout(400)
def test_a_program_that_compiles_makes_the_revision_active_and_lets_the_waiting_go(bench):
    made = bench.deploy(PROGRAM, **GO)
    waiting = bench.submit(made)
    builds.run(bench.context, made.id, 1)
    assert state(bench, made).state is FunctionState.ACTIVE
    assert bench.context.publisher.backlog() == 1
    with bench.context.database.begin() as tx:
        digest = functions.artifact(tx, made.id, 1)
    assert bench.context.storage.get(digest)[:4] == b"\x7fELF"
    assert invocations.status(bench.context.database, waiting) is Status.QUEUED
    builds.run(bench.context, made.id, 1)
    assert bench.context.publisher.backlog() == 1


@pytest.mark.timeout(400)
def test_the_compilers_words_are_the_reason_and_the_waiting_fail(bench):
    made = bench.deploy(b'package main\n\nimport "nonsense/nowhere"\n\nfunc main() {}\n', **GO)
    waiting = bench.submit(made)
    builds.run(bench.context, made.id, 1)
    assert state(bench, made).state is FunctionState.FAILED
    assert "nonsense/nowhere" in state(bench, made).state_reason
    record = invocations.get(bench.context.database, waiting)
    assert (record.status, record.error["type"]) == (Status.FAILED, "Function.InitError")
    assert accept(bench.context.database, made.id).verdict == "failed"


def test_a_platform_that_fails_three_times_makes_it_failed(bench):
    database = bench.context.database
    spec = bench.deploy(PROGRAM, **GO).spec
    made = functions.create(database, ids.uuid7(), "gone", spec, Code("sha256:" + "0" * 64, 1, None))
    for _ in range(2):
        builds.run(bench.context, made.id, 1)
        assert state(bench, made).state is FunctionState.BUILDING
    builds.run(bench.context, made.id, 1)
    assert state(bench, made).state is FunctionState.FAILED
    assert "platform" in state(bench, made).state_reason


def test_what_another_living_worker_builds_is_left_to_it(bench):
    made = bench.deploy(PROGRAM, **GO)
    assert rows.claim(bench.context.database, made.id, 1, worker(bench.context.database))
    builds.run(bench.context, made.id, 1)
    assert state(bench, made).state is FunctionState.BUILDING


def test_a_worker_that_stops_builds_nothing(bench):
    made = bench.deploy(PROGRAM, **GO)
    bench.context.draining.set()
    builds.run(bench.context, made.id, 1)
    assert rows.claim(bench.context.database, made.id, 1, bench.context.incarnation) is not None


def test_a_result_waits_for_the_database(bench, monkeypatch):
    monkeypatch.setattr(builds, "_PAUSE_SECONDS", 0.01)
    tries = []

    def write():
        tries.append(1)
        if len(tries) < 4:
            raise DatabaseDown("away")
        return "written"

    assert builds._insist(bench.context, write) == "written"
    bench.context.draining.set()
    tries.clear()
    with pytest.raises(DatabaseDown):
        builds._insist(bench.context, write)
