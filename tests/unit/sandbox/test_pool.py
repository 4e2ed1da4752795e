"""The warm pool's rules, over an engine that keeps its sandboxes in memory."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from faas.domain.function import Network, Revision, Runtime, Spec
from faas.domain.outcome import Outcome, failed
from faas.errors import SandboxError
from faas.sandbox.call import Call
from faas.sandbox.engine import Sandbox
from faas.sandbox.pool import Pool
from faas.telemetry.counts import Counts

PATIENCE_S = 30.0


class MemorySandbox:
    """A sandbox that runs nothing."""

    def __init__(self, name: str, runtime: Runtime, network: Network) -> None:
        self.id, self.runtime, self.network = name, runtime, network
        self.usable = True
        self.closed = threading.Event()
        self.owner: tuple[str, int] | None = None
        self.froze = threading.Event()

    def specialise(self, revision: Revision, code: Path, timeout_ms: int) -> Outcome | int:
        self.owner = revision.key
        return 0

    def invoke(self, call: Call) -> Outcome:
        return failed("Error", "it runs nothing")

    @property
    def spoiled(self) -> bool:
        return not self.usable

    @property
    def frozen(self) -> bool:
        return self.froze.is_set()

    def freeze(self) -> None:
        self.froze.set()

    def kill(self) -> None:
        self.usable = False

    def close(self) -> None:
        self.usable = False
        self.closed.set()


class MemoryEngine:
    """An engine of sandboxes that run nothing; starting one takes `pause_s`, and fails while `broken`."""

    name = "memory"

    def __init__(self) -> None:
        self.pause_s = 0.0
        self.broken: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.made: list[MemorySandbox] = []
        self.attempts = 0
        self.starting = self.most_starting = 0
        self._numbers = count()
        self._lock = threading.Lock()

    def start(self, runtime: Runtime, network: Network) -> Sandbox:
        with self._lock:
            self.attempts += 1
            self.starting += 1
            self.most_starting = max(self.starting, self.most_starting)
        try:
            self.gate.wait(PATIENCE_S)
            time.sleep(self.pause_s)
            if self.broken is not None:
                raise self.broken
            sandbox = MemorySandbox(f"sandbox-{next(self._numbers)}", runtime, network)
            with self._lock:
                self.made.append(sandbox)
            return sandbox
        finally:
            with self._lock:
                self.starting -= 1

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        return None

    def leftovers(self) -> set[str]:
        return set()

    def remove_leftovers(self, worker: str) -> int:
        return 0

    def close(self) -> None:
        pass


Make = Callable[..., Pool]


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def make(engine: MemoryEngine) -> Iterator[Make]:
    """Pools that are closed after the test, of which nothing may be left."""
    pools: list[Pool] = []

    def pool(stem_cells: int = 0, keep_alive_s: float = 300, memory_mb: int = 1024, **options: object) -> Pool:
        options = {"stem_cells": stem_cells, "keep_alive_s": keep_alive_s, "memory_mb": memory_mb, **options}
        pools.append(Pool(engine, **options))  # type: ignore[arg-type]
        return pools[-1]

    yield pool
    engine.gate.set()
    for each in pools:
        each.close()
    assert all(sandbox.closed.is_set() for sandbox in engine.made)


def revision(
    function: str = "f",
    number: int = 1,
    memory_mb: int = 128,
    runtime: Runtime = Runtime.PYTHON,
    network: Network = Network.NONE,
) -> Revision:
    digest = "sha256:" + "0" * 64
    return Revision(
        function, function, number, Spec(runtime, "main.handler", memory_mb=memory_mb, network=network), digest, digest
    )


def until(probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def cold(pool: Pool, of: Revision) -> MemorySandbox:
    sandbox, is_cold = pool.acquire(of, timeout_s=PATIENCE_S)
    assert is_cold
    assert isinstance(sandbox, MemorySandbox)
    sandbox.specialise(of, Path("/"), 1000)
    return sandbox


def warm(pool: Pool, of: Revision) -> MemorySandbox:
    sandbox, is_cold = pool.acquire(of, timeout_s=PATIENCE_S)
    assert not is_cold
    assert isinstance(sandbox, MemorySandbox)
    assert sandbox.owner == of.key
    return sandbox


def refuses(pool: Pool, of: Revision, timeout_s: float = 0.05) -> None:
    with pytest.raises(SandboxError):
        pool.acquire(of, timeout_s=timeout_s)


def counted(counts: Counts) -> dict[str, float]:
    """What was counted of one's sandboxes: by counter and label."""
    fields = {" ".join(json.loads(field)): number for field, number in counts.take().items()}
    return {name.removeprefix("faas_sandbox_"): number for name, number in fields.items() if "seconds" not in name}


def test_what_becomes_of_sandboxes_is_counted(make: Make, engine: MemoryEngine) -> None:
    counts = Counts()
    pool = make(memory_mb=256, counts=counts)
    first, second = cold(pool, revision()), cold(pool, revision("g"))
    pool.release(first)
    assert pool.take_warm(revision().key) is first
    pool.release(first)
    assert warm(pool, revision()) is first
    pool.release(first)
    third = cold(pool, revision("h"))
    pool.discard(second)
    second.kill()
    third.kill()
    pool.release(third)
    engine.broken = SandboxError("not now")
    refuses(pool, revision("i"))
    pool.clear()
    assert counted(counts) == {
        "calls new": 3,
        "calls warm": 2,
        "removals room": 1,
        "removals unusable": 2,
        "start_failures python": 1,
    }


def test_starts_and_waiting_for_them_are_timed(make: Make, engine: MemoryEngine) -> None:
    counts, engine.pause_s = Counts(), 0.05
    pool = make(counts=counts)
    cold(pool, revision())
    found = {tuple(json.loads(field)): number for field, number in counts.take().items()}
    assert found["faas_sandbox_start_seconds", "python", "sum"] >= 0.05
    assert found["faas_sandbox_wait_seconds", "new", "sum"] >= 0.05


# -- warm ones


def test_a_released_sandbox_serves_the_next_call_of_its_revision(make: Make) -> None:
    pool = make()
    first = cold(pool, revision())
    pool.release(first)
    assert warm(pool, revision()) is first


@pytest.mark.parametrize("other", [revision("g"), revision("f", 2)], ids=["function", "revision"])
def test_a_sandbox_never_serves_another(make: Make, other: Revision) -> None:
    pool = make()
    first = cold(pool, revision())
    pool.release(first)
    assert cold(pool, other) is not first


def test_the_most_recently_used_comes_first(make: Make) -> None:
    pool = make()
    a, b, c = (cold(pool, revision()) for _ in range(3))
    for sandbox in (b, c, a):
        pool.release(sandbox)
    assert [warm(pool, revision()) for _ in range(3)] == [a, c, b]


def test_one_that_is_not_usable_is_destroyed_on_release(make: Make) -> None:
    pool = make()
    first = cold(pool, revision())
    first.kill()
    pool.release(first)
    assert first.closed.wait(PATIENCE_S)
    cold(pool, revision())


def test_one_that_died_while_idle_is_skipped_and_destroyed(make: Make) -> None:
    pool = make()
    first, second = cold(pool, revision()), cold(pool, revision())
    pool.release(first)
    pool.release(second)
    second.kill()
    assert warm(pool, revision()) is first
    assert second.closed.wait(PATIENCE_S)
    assert pool.stats().used_mb == 128


def test_a_discarded_one_is_destroyed_and_its_memory_free(make: Make) -> None:
    pool = make(memory_mb=128)
    first = cold(pool, revision())
    pool.discard(first)
    assert first.closed.wait(PATIENCE_S)
    cold(pool, revision("g"))


def test_giving_back_twice_does_no_harm(make: Make) -> None:
    pool = make()
    first = cold(pool, revision())
    pool.release(first)
    pool.release(first)
    pool.discard(first)
    assert warm(pool, revision()) is first
    assert pool.stats().used_mb == 128


def test_idle_ones_leave_after_the_keep_alive_and_busy_ones_stay(make: Make) -> None:
    pool = make(keep_alive_s=0.2)
    busy, idle = cold(pool, revision()), cold(pool, revision())
    pool.release(idle)
    assert idle.closed.wait(PATIENCE_S)
    assert not busy.closed.is_set()
    until(lambda: pool.stats().used_mb == 128)


def test_a_call_that_is_given_up_waits_no_longer(make: Make) -> None:
    pool, given_up = make(memory_mb=128), threading.Event()
    pool.acquire(revision(), timeout_s=PATIENCE_S)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.acquire, revision("other"), timeout_s=10 * PATIENCE_S, given_up=given_up.is_set)
        time.sleep(0.3)
        assert not waiting.done()
        given_up.set()
        with pytest.raises(SandboxError, match="given up"):
            waiting.result(PATIENCE_S)


def test_idle_ones_are_frozen_after_a_while_and_busy_ones_are_not(make: Make) -> None:
    pool = make(freeze_after_s=0.2)
    of = revision()
    idle, busy = pool.acquire(of, timeout_s=PATIENCE_S)[0], pool.acquire(of, timeout_s=PATIENCE_S)[0]
    pool.release(idle)
    assert idle.froze.wait(PATIENCE_S)
    assert (pool.stats().idle, pool.stats().frozen) == (1, 1)
    assert not busy.frozen
    assert pool.acquire(of, timeout_s=PATIENCE_S) == (idle, False)


def test_without_keep_alive_none_is_kept(make: Make) -> None:
    pool = make(keep_alive_s=0)
    first = cold(pool, revision())
    pool.release(first)
    assert first.closed.wait(PATIENCE_S)
    assert pool.stats().idle == 0


# -- memory


def test_idle_ones_give_way_least_recently_used_first(make: Make) -> None:
    pool = make(memory_mb=3 * 128)
    sandboxes = {name: cold(pool, revision(name)) for name in "abc"}
    for name in "bca":
        pool.release(sandboxes[name])
    cold(pool, revision("d"))
    assert sandboxes["b"].closed.wait(PATIENCE_S)
    assert not sandboxes["c"].closed.is_set()
    assert not sandboxes["a"].closed.is_set()


def test_no_idle_one_is_sacrificed_in_vain(make: Make) -> None:
    pool = make(memory_mb=512)
    busy, idle = cold(pool, revision("busy", memory_mb=384)), cold(pool, revision("idle"))
    pool.release(idle)
    refuses(pool, revision("large", memory_mb=256))
    assert warm(pool, revision("idle")) is idle
    assert not busy.closed.is_set()


def test_a_call_waits_for_memory_until_a_sandbox_is_given_back(make: Make) -> None:
    pool = make(memory_mb=128)
    first = cold(pool, revision("a"))
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(cold, pool, revision("b"))
        until(lambda: pool.stats().waiting == 1)
        pool.release(first)
        assert second.result(PATIENCE_S) is not first


def test_a_call_that_waits_takes_a_warm_one_that_is_given_back(make: Make) -> None:
    pool = make(memory_mb=128)
    first = cold(pool, revision())
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(warm, pool, revision())
        until(lambda: pool.stats().waiting == 1)
        pool.release(first)
        assert second.result(PATIENCE_S) is first
    assert pool.stats().used_mb == 128


def test_the_wait_is_bounded_and_leaves_nothing_behind(make: Make) -> None:
    pool = make(memory_mb=128)
    first = cold(pool, revision("a"))
    refuses(pool, revision("b"))
    assert (pool.stats().waiting, pool.stats().used_mb) == (0, 128)
    pool.release(first)
    cold(pool, revision("b"))


def test_a_large_function_is_not_starved_by_small_ones(make: Make) -> None:
    pool = make(memory_mb=256)
    first, second = cold(pool, revision("a")), cold(pool, revision("b"))
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(cold, pool, revision("large", memory_mb=256))
        until(lambda: pool.stats().waiting == 1)
        small = threads.submit(cold, pool, revision("small"))
        until(lambda: pool.stats().waiting == 2)
        pool.release(first)
        time.sleep(0.1)
        assert not small.done()
        pool.release(second)
        pool.release(large.result(PATIENCE_S))
        small.result(PATIENCE_S)


def test_a_function_larger_than_the_budget_runs_alone(make: Make) -> None:
    pool = make(memory_mb=256)
    small = cold(pool, revision("small"))
    refuses(pool, revision("huge", memory_mb=4096))
    pool.release(small)
    huge = cold(pool, revision("huge", memory_mb=4096))
    assert small.closed.wait(PATIENCE_S)
    refuses(pool, revision("small"))
    pool.release(huge)
    cold(pool, revision("small"))


# -- stem cells


def test_stem_cells_are_kept_from_the_first_call_of_a_runtime(make: Make, engine: MemoryEngine) -> None:
    pool = make(stem_cells=2)
    time.sleep(0.05)
    assert engine.made == []
    cold(pool, revision())
    until(lambda: pool.stats().stem_cells == {(Runtime.PYTHON, Network.NONE): 2})
    attempts = engine.attempts
    engine.gate.clear()  # from now on a start would hang
    stem = cold(pool, revision("g"))
    assert stem in engine.made[:attempts]


def test_named_runtimes_have_stem_cells_from_the_start(make: Make) -> None:
    pool = make(stem_cells=1, warm=(Runtime.PYTHON, Runtime.GO))
    until(lambda: pool.stats().stem_cells == {(Runtime.PYTHON, Network.NONE): 1, (Runtime.GO, Network.NONE): 1})


def test_a_stem_cell_is_of_the_runtime_and_network_that_are_asked_for(make: Make) -> None:
    pool = make(stem_cells=1, warm=tuple(Runtime))
    until(lambda: len(pool.stats().stem_cells) == 3 and all(pool.stats().stem_cells.values()))
    for runtime in Runtime:
        for network in Network:
            sandbox = cold(pool, revision(f"{runtime}-{network}", runtime=runtime, network=network, memory_mb=32))
            assert (sandbox.runtime, sandbox.network) == (runtime, network)


def test_used_stem_cells_are_replaced(make: Make) -> None:
    pool = make(stem_cells=1)
    for number in range(5):
        cold(pool, revision(str(number)))
        until(lambda: sum(pool.stats().stem_cells.values()) >= 1)


def test_as_many_stem_cells_are_kept_as_were_asked_for_at_once(make: Make) -> None:
    pool = make(stem_cells=1, memory_mb=4096)
    for number in range(6):
        cold(pool, revision(str(number)))
    until(lambda: sum(pool.stats().stem_cells.values()) == 6)


def test_only_an_idle_sandbox_is_had_without_waiting_and_not_past_who_waits(make: Make) -> None:
    pool = make(memory_mb=128)
    mine = revision(memory_mb=128)
    assert pool.take_warm(mine.key) is None
    used = cold(pool, mine)
    assert pool.take_warm(mine.key) is None
    pool.release(used)
    assert pool.take_warm(mine.key) is used
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.acquire, mine, timeout_s=PATIENCE_S)
        until(lambda: pool.stats().waiting == 1)
        pool.release(used)
        assert pool.take_warm(mine.key) is None or waiting.done()
        assert waiting.result(PATIENCE_S) == (used, False)


def test_a_sandbox_goes_on_without_being_given_back_but_not_past_who_waits(make: Make) -> None:
    pool, mine = make(memory_mb=128), revision()
    sandbox = cold(pool, mine)
    assert pool.in_use(mine.key) == 1
    assert pool.reuse(sandbox)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(pool.acquire, mine, timeout_s=60)
        until(lambda: not pool.reuse(sandbox))
        pool.release(sandbox)
        assert waiting.result() == (sandbox, False)
    sandbox.usable = False
    assert not pool.reuse(sandbox)
    pool.release(sandbox)
    assert pool.in_use(mine.key) == 0
    assert not pool.reuse(sandbox)


def test_each_sandbox_that_becomes_idle_is_told_of(make: Make) -> None:
    pool, mine = make(), revision()
    told: list[tuple[str, int]] = []
    pool.tell_of_idle(told.append)
    first, second = cold(pool, mine), cold(pool, mine)
    pool.release(first)
    second.usable = False
    pool.release(second)
    assert told == [mine.key]


def test_a_dead_stem_cell_is_not_handed_out(make: Make, engine: MemoryEngine) -> None:
    pool = make(stem_cells=1, warm=(Runtime.PYTHON,))
    until(lambda: sum(pool.stats().stem_cells.values()) == 1)
    dead = engine.made[0]
    dead.kill()
    assert cold(pool, revision()) is not dead
    assert dead.closed.wait(PATIENCE_S)


def test_no_more_sandboxes_are_started_at_once_than_allowed(make: Make, engine: MemoryEngine) -> None:
    pool = make(stem_cells=3, warm=tuple(Runtime), starts=2, memory_mb=4096)
    engine.pause_s = 0.02
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: cold(pool, revision(str(number))), range(16)))
    assert engine.most_starting <= 2


def test_an_engine_that_fails_fails_the_call_and_its_memory_is_free(make: Make, engine: MemoryEngine) -> None:
    pool = make(memory_mb=128)
    engine.broken = SandboxError("no engine")
    for _ in range(5):
        with pytest.raises(SandboxError, match="no engine"):
            pool.acquire(revision(), timeout_s=PATIENCE_S)
    engine.broken = None
    cold(pool, revision())


@pytest.mark.parametrize("fault", [SandboxError("no engine"), RuntimeError("a bug")], ids=["refusal", "bug"])
def test_restocking_backs_off_says_so_once_and_goes_on(
    make: Make, engine: MemoryEngine, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    engine.broken = fault
    with caplog.at_level(logging.WARNING):
        pool = make(stem_cells=1, warm=(Runtime.PYTHON,))
        until(lambda: engine.attempts >= 2)
    assert engine.attempts < 20
    assert len([record for record in caplog.records if str(fault) in record.getMessage()]) == 1
    engine.broken = None
    until(lambda: sum(pool.stats().stem_cells.values()) == 1)


# -- the end


def test_close_destroys_all_and_ends_what_waits(make: Make, engine: MemoryEngine) -> None:
    pool = make(stem_cells=1, memory_mb=256)
    busy, idle = cold(pool, revision("a")), cold(pool, revision("b"))
    pool.release(idle)
    until(lambda: sum(pool.stats().stem_cells.values()) >= 1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.acquire, revision("c", memory_mb=256), timeout_s=PATIENCE_S)
        until(lambda: pool.stats().waiting == 1)
        pool.close()
        with pytest.raises(SandboxError, match="closed"):
            waiting.result(PATIENCE_S)
    assert busy.closed.is_set()
    assert all(sandbox.closed.is_set() for sandbox in engine.made)
    refuses(pool, revision())
    pool.release(busy)
    pool.close()


def test_a_sandbox_that_is_being_started_while_the_pool_closes_is_destroyed(make: Make, engine: MemoryEngine) -> None:
    pool = make()
    engine.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(pool.acquire, revision(), timeout_s=PATIENCE_S)
        until(lambda: engine.starting == 1)
        pool.close()
        engine.gate.set()
        with pytest.raises(SandboxError, match="closed"):
            late.result(PATIENCE_S)
    assert engine.made[0].closed.is_set()


def test_many_threads_keep_the_budget_and_the_ownership(make: Make, engine: MemoryEngine) -> None:
    pool = make(stem_cells=1, memory_mb=5 * 128, keep_alive_s=0.05)
    busy: set[str] = set()
    guard = threading.Lock()

    def run(number: int) -> None:
        of = revision(f"f{number % 4}", memory_mb=128 * (1 + number % 2))
        sandbox, is_cold = pool.acquire(of, timeout_s=PATIENCE_S)
        assert isinstance(sandbox, MemorySandbox)
        with guard:
            assert sandbox.id not in busy
            busy.add(sandbox.id)
        if is_cold:
            assert sandbox.owner is None
            sandbox.specialise(of, Path("/"), 1000)
        assert sandbox.owner == of.key
        assert pool.stats().used_mb <= 5 * 128
        if number % 7 == 0:
            sandbox.kill()
        with guard:
            busy.remove(sandbox.id)
        (pool.discard if number % 11 == 0 else pool.release)(sandbox)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(run, range(400)))
    until(lambda: pool.stats().used_mb == 0)
    assert engine.most_starting <= 2
