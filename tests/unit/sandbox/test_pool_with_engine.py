"""Storage, shelf and pool together, over the real engine that needs no Docker."""

from __future__ import annotations

from pathlib import Path

from faas.domain.function import Revision, Runtime, Spec
from faas.domain.invocation import Status
from faas.sandbox.call import Call
from faas.sandbox.engine import Owner
from faas.sandbox.pool import Pool
from faas.sandbox.shelf import Shelf
from faas.sandbox.simple import SimpleEngine
from faas.storage.local import LocalStorage

SOURCE = b"calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return [context.function_name, calls]\n"


def test_calls_run_in_the_sandboxes_of_their_revisions_and_nothing_is_left(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "packages")
    digest = storage.put(SOURCE)
    shelf = Shelf(storage, tmp_path / "shelf")
    engine = SimpleEngine(tmp_path / "work", Owner("worker-1"))
    pool = Pool(engine, stem_cells=1, keep_alive_s=300, memory_mb=1024)

    def run(function: str) -> tuple[str | None, bool]:
        revision = Revision(function, function, 1, Spec(Runtime.PYTHON, "main.handler"), digest, digest)
        sandbox, cold = pool.acquire(revision, timeout_s=60)
        if cold:
            assert isinstance(sandbox.specialise(revision, shelf.get(revision), 30_000), int)
        outcome = sandbox.invoke(Call("id", "null", {}, 30_000))
        pool.release(sandbox)
        assert outcome.status is Status.SUCCEEDED, outcome
        return outcome.result, cold

    try:
        assert [run(function) for function in ("a", "a", "b", "a", "b")] == [
            ('["a", 1]', True),
            ('["a", 2]', False),
            ('["b", 1]', True),
            ('["a", 3]', False),
            ('["b", 2]', False),
        ]
    finally:
        pool.close()
        engine.close()
    assert not list((tmp_path / "work").rglob("agent.sock"))
