"""Creating, changing and deleting functions."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import factories
import pytest

from faas.db import builds
from faas.domain.function import FunctionState, Retry, Runtime
from faas.domain.invocation import Status
from faas.errors import Conflict, Invalid, NotFound, TooLarge
from faas.queueing import names
from faas.queueing.publisher import connect
from faas.services.requests import FunctionChanges, NewFunction, NewInvocation

CODE = b"def handler(event, context): return event"


def new(name="one", code=CODE, **changes) -> NewFunction:
    return NewFunction(name, factories.spec(**changes), code)


def invoke(services, ref):
    return services.invocations.invoke(NewInvocation(ref, "null", {})).invocation


@pytest.fixture
def messages(redis_url):
    """Takes what is published: (task, arguments) of each message."""
    client = connect(redis_url)

    def take():
        read = [json.loads(one) for one in client.lrange(names.QUEUE, 0, -1)[::-1]]
        client.delete(names.QUEUE)
        return [(one["headers"]["task"], json.loads(base64.b64decode(one["body"]))[0]) for one in read]

    yield take
    client.close()


def test_a_function_is_kept_with_its_code(services, messages):
    made = services.functions.create(new(environment={"A": "b"}, metadata={"x": [1]}, retry=Retry(3)))
    assert (made.revision, made.state, made.code_size) == (1, FunctionState.ACTIVE, len(CODE))
    assert services.storage.get(made.code_digest) == CODE
    assert services.functions.get("one") == services.functions.get(made.id) == made
    assert made.spec == new(environment={"A": "b"}, metadata={"x": [1]}, retry=Retry(3)).spec
    assert messages() == []


def test_a_go_program_is_published_to_be_built(services, messages):
    made = services.functions.create(new(code=b"package main", runtime=Runtime.GO, handler="main"))
    assert made.state is FunctionState.BUILDING
    assert messages() == [(names.BUILD, [made.id, 1])]


def test_a_refused_function_leaves_nothing(services):
    services.functions.create(new())
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("../x.py", "")
    for refused, kind in [
        (new(), Conflict),
        (new("two", handler="main"), Invalid),
        (new("three", broken.getvalue()), Invalid),
        (new("four", b"x" * (50 * 1024 * 1024 + 1)), TooLarge),
    ]:
        with pytest.raises(kind):
            services.functions.create(refused)
    assert [one.name for one in services.functions.find().items] == ["one"]


def test_a_change_makes_a_revision_and_keeps_the_rest(services):
    made = services.functions.create(new(environment={"A": "b"}, memory_mb=64))
    now = services.functions.update("one", FunctionChanges({"timeout_ms": 5000, "environment": {}}))
    assert (now.id, now.revision, now.spec.timeout_ms, now.spec.environment, now.spec.memory_mb) == (
        made.id,
        2,
        5000,
        {},
        64,
    )
    assert (now.code_digest, now.created_at) == (made.code_digest, made.created_at)
    assert now.updated_at > made.updated_at
    assert services.functions.update("one", FunctionChanges({})) == now
    assert services.functions.update("one", FunctionChanges({"name": "two", "code": b"x = 1"})).code_size == 5
    with pytest.raises(NotFound):
        services.functions.get("one")


def test_a_refused_change_changes_nothing(services):
    services.functions.create(new())
    services.functions.create(new("taken"))
    for fields, kind in [
        ({"name": "taken"}, Conflict),
        ({"handler": "x"}, Invalid),
        ({"image": "y"}, Invalid),
        ({"runtime": Runtime.PYTHON, "handler": "a/b"}, Invalid),
    ]:
        with pytest.raises(kind):
            services.functions.update("one", FunctionChanges(fields))
    assert services.functions.get("one").revision == 1
    with pytest.raises(NotFound):
        services.functions.update("nobody", FunctionChanges({"memory_mb": 64}))


def test_a_program_that_is_built_is_not_built_again_for_other_fields(services, database, messages):
    made = services.functions.create(new(code=b"package main", runtime=Runtime.GO, handler="main"))
    assert services.functions.update("one", FunctionChanges({"memory_mb": 64})).state is FunctionState.BUILDING
    got = builds.claim(database, made.id, 2, factories.worker(database))
    builds.succeed(database, got, "sha256:program")
    messages()
    now = services.functions.update("one", FunctionChanges({"memory_mb": 96}))
    assert (now.revision, now.state) == (3, FunctionState.ACTIVE)
    assert messages() == []
    assert (
        services.functions.update("one", FunctionChanges({"code": b"package main // 2"})).state
        is FunctionState.BUILDING
    )
    assert messages() == [(names.BUILD, [made.id, 4])]


def test_a_higher_limit_lets_the_waiting_in(services, messages):
    services.functions.create(new(max_concurrency=1))
    mine = [invoke(services, "one").id for _ in range(3)]
    messages()
    services.functions.update("one", FunctionChanges({"max_concurrency": 2}))
    assert messages() == [(names.INVOKE, [mine[1]])]


def test_changes_at_once_each_make_a_revision_of_their_own(services):
    services.functions.create(new(code=b"package main", runtime=Runtime.GO, handler="main"))
    with ThreadPoolExecutor(24) as pool:
        made = list(
            pool.map(
                lambda n: services.functions.update("one", FunctionChanges({"metadata": {"n": n}})).revision, range(24)
            )
        )
    assert sorted(made) == list(range(2, 26))


def test_a_deleted_function_is_gone_and_its_queue_cancelled(services):
    made = services.functions.create(new(max_concurrency=1))
    mine = [invoke(services, "one").id for _ in range(3)]
    services.functions.delete("one")
    assert {services.invocations.get(one).status for one in mine} == {Status.CANCELLED}
    for ask in (services.functions.get, services.functions.delete, lambda ref: invoke(services, ref)):
        with pytest.raises(NotFound):
            ask("one")
    assert {one.id for one in services.invocations.find(function=made.id).items} == set(mine)
    assert services.invocations.find(function="one").items == []
    assert services.functions.create(new()).id != made.id
