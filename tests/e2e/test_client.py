"""The client against a running platform."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, WORK, Cluster, eventually
from faas.client import (
    AsyncClient,
    Cancelled,
    Client,
    Conflict,
    FunctionRaised,
    Invalid,
    NotFound,
    Stats,
    TimedOut,
    WaitTimeout,
)

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]

INCREMENT = "def handler(event, context):\n    return event + 1\n"
RAISE = "def handler(event, context):\n    raise LookupError(f'no {event}')\n"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.url()) as made:
        yield made


def test_the_life_of_a_function(client: Client, tmp_path: Path) -> None:
    name = f"life-{uuid.uuid4().hex[:8]}"
    (tmp_path / "main.py").write_text(INCREMENT)
    made = client.functions.create(name, "python", tmp_path, timeout="5s", environment={"A": "b"})
    try:
        assert (made.name, made.revision, made.handler, made.timeout) == (name, 1, "main.handler", "5s")
        assert client.functions.wait(name).state == "active"
        assert client.call(name, 1) == 2
        changed = client.functions.update(name, code="def handler(event, context):\n    return -event\n", memory_mb=64)
        assert (changed.revision, changed.memory_mb, changed.created_at) == (2, 64, made.created_at)
        assert client.call(name, 1) == -1
        assert client.functions.get(made.id) == changed
        assert [one.id for one in client.functions.list(name=name)] == [made.id]
        with pytest.raises(Conflict):
            client.functions.create(name, "python", INCREMENT)
        with pytest.raises(Invalid) as caught:
            client.functions.update(name, memory_mb=1)
        assert list(caught.value.errors) == ["memory_mb"]
    finally:
        client.functions.delete(name)
    with pytest.raises(NotFound):
        client.functions.get(name)


def test_lists_go_over_all_pages(client: Client, cluster: Cluster) -> None:
    function = cluster.deploy(INCREMENT)
    assert list(client.map(function, range(7))) == list(range(1, 8))
    found = list(client.invocations.list(function=function, limit=2))
    assert [one.status for one in found] == ["succeeded"] * 7
    assert len({one.id for one in found}) == 7


def test_a_handle_has_the_result_the_log_and_the_story(client: Client, cluster: Cluster) -> None:
    source = "def handler(event, context):\n    print('seen', event)\n    return [event, context.headers['k']]\n"
    handle = client.invoke(cluster.deploy(source), {"ä": None}, headers={"k": "v"}, timeout=5)
    assert handle.result(timeout=PATIENCE) == [{"ä": None}, "v"]
    assert handle.status() == "succeeded"
    assert handle.exception() is None
    assert handle.logs() == "seen {'ä': None}\n"
    assert [line.text for line in handle.logs(follow=True)] == ["seen {'ä': None}\n"]
    events = [event.type for event in handle.events()]
    assert (events[0], events[-1]) == ("accepted", "ended")
    again = handle.replay()
    assert again.id != handle.id
    assert again.result(PATIENCE) == handle.result()
    assert client.handle(handle.id).record().replay_of is None
    assert again.record().replay_of == handle.id


def test_a_log_is_followed_while_its_function_runs(client: Client, cluster: Cluster) -> None:
    source = "import time\n\ndef handler(event, context):\n    print('first')\n    time.sleep(4)\n    print('last')\n"
    handle = client.invoke(cluster.deploy(source))
    lines = handle.logs(follow=True)
    assert next(lines).text == "first\n"
    # Not from the record at its end.
    assert handle.status() == "running"
    assert [line.text for line in lines] == ["last\n"]


def test_each_end_is_raised(client: Client, cluster: Cluster) -> None:
    with pytest.raises(FunctionRaised, match="LookupError: no x") as raised:
        client.call(cluster.deploy(RAISE), "x")
    assert (raised.value.type, raised.value.message) == ("LookupError", "no x")
    assert 'File "main.py", line 2, in handler' in "\n".join(raised.value.__notes__)
    work = cluster.deploy()
    with pytest.raises(TimedOut):
        client.call(work, {"sleep": 60}, timeout="200ms")
    handle = client.invoke(work, {"sleep": 20})
    with pytest.raises(WaitTimeout, match=handle.id):
        handle.result(timeout=0.5)
    handle.cancel()
    with pytest.raises(Cancelled):
        handle.result(PATIENCE)
    with pytest.raises(Conflict):
        handle.cancel()
    with pytest.raises(NotFound):
        client.invoke("no-such-function")


def test_a_key_makes_one_invocation(client: Client, cluster: Cluster) -> None:
    function, key = cluster.deploy(INCREMENT), uuid.uuid4().hex
    ids = {client.invoke(function, 1, idempotency_key=key).id for _ in range(3)}
    assert len(ids) == 1
    with pytest.raises(Invalid):
        client.invoke(function, 2, idempotency_key=key)


def test_what_is_delayed_is_queued_until_its_time(client: Client, cluster: Cluster) -> None:
    handle = client.invoke(cluster.deploy(INCREMENT), 1, delay="1h")
    assert handle.status() == "queued"
    handle.cancel()


def test_a_map_reads_its_payloads_as_it_needs_them(client: Client, cluster: Cluster) -> None:
    taken = itertools.count()
    results = client.map(cluster.deploy(INCREMENT), taken, window=40)
    assert [next(results) for _ in range(100)] == list(range(1, 101))
    # Endless payloads, of which no more than the window were read ahead.
    assert next(taken) <= 100 + 40
    results.close()  # type: ignore[attr-defined]


def test_a_map_of_thousands_gives_each_its_result(client: Client, cluster: Cluster) -> None:
    function = cluster.deploy(INCREMENT, max_concurrency=50)
    assert list(client.map(function, range(1500), window=600)) == list(range(1, 1501))
    assert sorted(client.map(function, range(700), window=300, ordered=False)) == list(range(1, 701))


def test_a_map_in_order_of_ends_is_not_held_up_by_a_slow_one(client: Client, cluster: Cluster) -> None:
    payloads = [{"sleep": 6 if n == 0 else 0, "token": n} for n in range(10)]
    results = list(client.map(cluster.deploy(WORK), payloads, ordered=False))
    assert results[-1]["token"] == 0
    assert {one["token"] for one in results} == set(range(10))


def test_a_failure_in_a_map_is_raised_in_its_place_or_given(client: Client, cluster: Cluster) -> None:
    source = "def handler(event, context):\n    return 1 / event\n"
    function = cluster.deploy(source)
    results = client.map(function, [1, 0, 1])
    assert next(results) == 1.0
    with pytest.raises(FunctionRaised, match="ZeroDivisionError"):
        next(results)
    given = list(client.map(function, [1, 0, 1], return_exceptions=True))
    assert (given[0], type(given[1]), given[2]) == (1.0, FunctionRaised, 1.0)


def test_who_waits_survives_a_controller_that_is_killed(client: Client, cluster: Cluster) -> None:
    handle = client.invoke(cluster.deploy(), {"sleep": 6, "token": "t"})
    found: list[Any] = []

    def wait() -> None:
        with Client(cluster.url(), retries=20) as patient:
            found.append(patient.handle(handle.id).result())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(1)
    cluster.kill("controller1")
    cluster.begin("controller1")
    waiter.join(PATIENCE)
    assert found[0]["token"] == "t"


def test_statistics_count_what_has_ended(client: Client, cluster: Cluster) -> None:
    made = cluster.deploy(RAISE)
    cluster.invoke(made)

    def counted() -> Stats | None:
        found = client.stats(made, "5m")
        return found if any(one.ended for one in found.functions) else None

    told = eventually(counted, "it is counted")
    (one,) = told.functions
    assert (told.window, told.step_s, told.more, len(one.series), sum(one.series)) == ("5m", 10, False, 30, 1)
    assert (one.function_id, one.ended, one.failed, one.succeeded, one.cold_starts) == (made, 1, 1, 0, 1)
    assert one.duration_ms.p50 is not None
    assert told.since < told.until
    assert client.stats("nobody").functions == []
    with pytest.raises(Invalid):
        client.stats(window="2h")

    async def ask() -> Stats:
        async with AsyncClient(cluster.url()) as other:
            return await other.stats(made, "24h")

    assert asyncio.run(ask()).functions[0].ended == 1


def test_the_client_for_asyncio(cluster: Cluster) -> None:
    function, bad = cluster.deploy(INCREMENT), cluster.deploy(RAISE)

    async def go() -> None:
        async with AsyncClient(cluster.url()) as client:
            handles = [await client.invoke(function, n) for n in range(5)]
            assert await asyncio.gather(*(handle.result(PATIENCE) for handle in handles)) == [1, 2, 3, 4, 5]
            assert await client.call(function, 1, wait=PATIENCE) == 2
            with pytest.raises(FunctionRaised, match="no x"):
                await client.call(bad, "x")
            assert [event.type for event in await handles[0].events()][-1] == "ended"
            assert (await client.functions.get(function)).id == function
            delayed = await client.invoke(function, 1, delay="1h")
            assert await delayed.status() == "queued"
            await delayed.cancel()
            with pytest.raises(Cancelled):
                await delayed.result(PATIENCE)
            assert [line.text async for line in handles[0].logs(follow=True)] == []

    asyncio.run(go())


def test_the_client_for_asyncio_keeps_functions_and_maps(cluster: Cluster, tmp_path: Path) -> None:
    name = f"life-{uuid.uuid4().hex[:8]}"
    (tmp_path / "main.py").write_text(INCREMENT)

    async def go() -> None:
        async with AsyncClient(cluster.url()) as client:
            made = await client.functions.create(name, "python", tmp_path, timeout="5s")
            try:
                assert (await client.functions.wait(name)).state == "active"
                assert [one async for one in client.map(name, range(700), window=300)] == list(range(1, 701))
                ended = [one async for one in client.map(name, range(30), ordered=False)]
                assert sorted(ended) == list(range(1, 31))
                failures = [one async for one in client.map(name, ["x", 1], return_exceptions=True)]
                assert (type(failures[0]), failures[1]) == (FunctionRaised, 2)
                endless = client.map(name, itertools.count(), window=20)
                assert [await anext(endless) for _ in range(50)] == list(range(1, 51))
                await endless.aclose()  # type: ignore[attr-defined]
                changed = await client.functions.update(name, code="def handler(event, context):\n    print('seen')\n")
                assert changed.revision == 2
                assert [one.id async for one in client.functions.list(name=name)] == [made.id]
                handle = await client.invoke(name)
                await handle.wait(PATIENCE)
                newest = await anext(client.invocations.list(function=name, limit=3))
                assert (newest.id, await handle.logs()) == (handle.id, "seen\n")
                again = await client.handle(handle.id).replay("newest")
                assert (await again.wait(PATIENCE)).replay_of == handle.id
                shown = client.functions.follow(name, last=1)
                assert (await anext(shown)).invocation_id == again.id
                await shown.aclose()  # type: ignore[attr-defined]
                assert isinstance(await client.secrets.list(), list)
                assert (await client.request("GET", "/health/live")).status_code == 200
            finally:
                await client.functions.delete(name)
            with pytest.raises(NotFound):
                await client.functions.get(name)

    asyncio.run(go())
