"""Quotas of namespaces over HTTP, on a real database."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import claimed, run_sql

from faas import config
from faas.db import quotas as rows
from faas.domain.namespace import Quotas
from faas.services import Services
from faas.services.quotas import REMEMBERED_S
from faas.web import create_app

CODE = base64.b64encode(b"def handler(event, context):\n    return event\n").decode()


@pytest.fixture
def start(database_url, redis_url, tmp_path):
    """Makes one more process of a server."""
    opened: list[Services] = []

    def make():
        settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STORAGE_BASE_DIR": f"{tmp_path / 'code'}"}
        opened.append(Services.open(config.load(settings)))
        return create_app(opened[-1]).test_client()

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def client(start):
    return start()


@pytest.fixture
def put(client):
    """Sets the quotas of `default`."""

    def make(**quotas):
        answer = client.put("/namespaces/default", json=quotas)
        assert answer.status_code == 200, answer.text
        return answer.json

    return make


@pytest.fixture
def create(client):
    def make(name, **fields):
        body = {"name": name, "runtime": "python", "handler": "main.handler", "code": CODE, **fields}
        return client.post("/functions", json=body)

    return make


def test_without_quotas_nothing_is_bounded(client, create):
    assert create("f", max_concurrency=1000).status_code == 201
    (one,) = client.get("/namespaces").json["items"]
    assert set(one["quotas"].values()) == {None}
    assert one["used"] == {"concurrent": 1000, "code_mb": 1, "cpu_seconds_today": 0}


def test_they_are_replaced_whole(put):
    assert put(queued=5, code_mb=7)["quotas"]["queued"] == 5
    quotas = put(concurrent=9)["quotas"]
    assert quotas == {
        "requests_per_minute": None,
        "queued": None,
        "concurrent": 9,
        "code_mb": None,
        "cpu_seconds_per_day": None,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [({"queued": 0}, "queued"), ({"queued": "5"}, "queued"), ({"cpus": 1}, "cpus"), ({"code_mb": None}, "code_mb")],
)
def test_what_is_no_quota(client, is_problem, body, field):
    is_problem(client.put("/namespaces/default", json=body), 422, field)


def test_a_namespace_that_is_not_there_has_none(client, is_problem):
    is_problem(client.put("/namespaces/nowhere", json={"queued": 1}), 404)


def test_functions_together_have_so_much_concurrency_and_no_more(client, put, create, is_problem):
    put(concurrent=10)
    assert create("f", max_concurrency=6).status_code == 201
    refused = is_problem(create("g", max_concurrency=5), 409)
    assert "10 max_concurrency" in refused["detail"]
    assert client.get("/functions/g").status_code == 404, "a refusal leaves nothing"
    assert create("g", max_concurrency=4).status_code == 201
    is_problem(client.put("/functions/f", json={"max_concurrency": 7}), 409)
    # What does not take more is not held up, and what gives some back makes room.
    assert client.put("/functions/f", json={"timeout": "5s"}).status_code == 200
    assert client.put("/functions/f", json={"max_concurrency": 5}).status_code == 200
    assert client.put("/functions/g", json={"max_concurrency": 5}).status_code == 200
    client.delete("/functions/f")
    assert create("h", max_concurrency=5).status_code == 201


def test_those_who_deploy_at_once_do_not_pass_it_together(start, put):
    put(concurrent=20)
    clients = [start() for _ in range(4)]

    def create(n):
        body = {"name": f"f{n}", "runtime": "python", "handler": "main.handler", "code": CODE, "max_concurrency": 5}
        return clients[n % 4].post("/functions", json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(12))) == [201] * 4 + [409] * 8


def test_code_is_bounded(client, put, create, is_problem, database):
    put(code_mb=1)
    assert create("f").status_code == 201
    run_sql(database, "UPDATE function_revisions SET code_size = 1048576")
    is_problem(create("g"), 409)
    assert client.put("/functions/f", json={"timeout": "5s"}).status_code == 200


def test_what_waits_is_bounded_and_what_runs_is_not_counted(client, put, create, is_problem, database):
    assert create("f", max_concurrency=1).status_code == 201
    put(queued=3)
    answers = [client.post("/invoke", json={"function_id": "f"}).status_code for _ in range(8)]
    # The first has its place; three wait.
    assert answers.count(202) in (3, 4), answers
    refused = client.post("/invoke", json={"function_id": "f"})
    is_problem(refused, 429)
    assert int(refused.headers["Retry-After"]) > 0
    is_problem(client.post("/invoke/batch", json={"items": [{"function_id": "f"}]}), 429)
    run_sql(database, "UPDATE invocations SET status = 'cancelled' WHERE status = 'queued'")
    deadline = time.monotonic() + 30
    while client.post("/invoke", json={"function_id": "f"}).status_code != 202:
        assert time.monotonic() < deadline, "there is room again"
        time.sleep(0.1)


def test_the_cpus_of_a_day_are_bounded(client, put, create, is_problem, database):
    assert create("f").status_code == 201
    rows.add_usage(database, {"default": 9_999, "other": 1_000_000})
    put(cpu_seconds_per_day=10)
    assert client.post("/invoke", json={"function_id": "f"}).status_code == 202
    rows.add_usage(database, {"default": 1})
    time.sleep(REMEMBERED_S + 0.1)
    refused = client.post("/invoke", json={"function_id": "f"})
    assert "10 CPU-seconds" in is_problem(refused, 429)["detail"]
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    # Yesterday's are forgiven.
    run_sql(database, "UPDATE usage SET day = day - 1")
    time.sleep(REMEMBERED_S + 0.1)
    assert client.post("/invoke", json={"function_id": "f"}).status_code == 202


def test_calls_of_all_keys_together_are_bounded(client, put, is_problem):
    first = client.post("/keys", json={"name": "a", "scopes": ["admin"]}).json["key"]
    second = client.post(
        "/keys", json={"name": "b", "scopes": ["admin"]}, headers={"Authorization": f"Bearer {first}"}
    ).json["key"]
    keys = [{"Authorization": f"Bearer {key}"} for key in (first, second)]
    assert client.put("/namespaces/default", json={"requests_per_minute": 4}, headers=keys[0]).status_code == 200
    answers = [client.get("/functions", headers=keys[n % 2]) for n in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    assert answers[0].headers["RateLimit-Remaining"] == "3"
    assert "namespace" in is_problem(answers[-1], 429)["detail"]


def test_a_quota_set_at_one_process_holds_at_all_soon(start, put, database, client, create):
    other = start()
    assert create("f", max_concurrency=1).status_code == 201
    assert other.post("/invoke", json={"function_id": "f"}).status_code == 202
    rows.put(database, "default", Quotas(queued=1))
    time.sleep(REMEMBERED_S + 0.1)
    answers = [other.post("/invoke", json={"function_id": "f"}).status_code for _ in range(4)]
    assert 429 in answers


def test_a_worker_writes_down_what_its_calls_took(client, create, database):
    from factories import worker

    from faas.domain.invocation import Status
    from faas.domain.outcome import Outcome
    from faas.worker.usage import Usage

    made = create("f", cpus=2).json
    claim = claimed(database, made["id"], worker(database))
    usage = Usage(database)
    usage.add(claim, Outcome(Status.SUCCEEDED, result="1", init_ms=500, duration_ms=1_000))
    usage.add(claim, Outcome(Status.TIMED_OUT, duration_ms=4_000))
    usage.write(at_once=True)
    usage.write(at_once=True)
    assert client.get("/namespaces").json["items"][0]["used"]["cpu_seconds_today"] == 11
