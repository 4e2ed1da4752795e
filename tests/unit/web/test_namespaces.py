"""Namespaces over HTTP, on a real database: what is in one is nowhere for the keys of another."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from factories import claimed, run_sql, succeeded
from flask.testing import FlaskClient
from sqlalchemy import create_engine

from faas import config
from faas.client.errors import NotFound
from faas.client.transactional import enqueue
from faas.db import invocations
from faas.domain.invocation import Status
from faas.results.endings import Endings
from faas.services import Services
from faas.web import auth, create_app

CODE = base64.b64encode(b"def handler(event, context):\n    return event\n").decode()
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
# Files of the pages' looks, which are nobody's; and what is for keys of `default` alone.
APART = {"static", "namespaces.update"}


@pytest.fixture
def services(database_url, redis_url, tmp_path) -> Iterator[Services]:
    opened = Services.open(
        config.load(
            {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "STORAGE_BASE_DIR": f"{tmp_path / 'code'}",
                "FAAS_SECRETS_KEY": KEY,
            }
        )
    )
    yield opened
    opened.close()


@dataclass
class Holder:
    """Whoever has a key."""

    client: FlaskClient
    key: str

    def __call__(self, method: str, path: str, status: int | None = None, **more):
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        answer = self.client.open(path, method=method, headers=headers, **more)
        assert status is None or answer.status_code == status, f"{method} {path}: {answer.status} {answer.text}"
        return answer

    def function(self, name: str, **more) -> dict:
        body = {"name": name, "runtime": "python", "handler": "main.handler", "code": CODE, **more}
        return self("POST", "/functions", 201, json=body).json


@pytest.fixture
def operator(services) -> Holder:
    """The key of `default` that made all others."""
    client = create_app(services).test_client()
    made = client.post("/keys", json={"name": "first", "scopes": ["admin"]})
    return Holder(client, made.json["key"])


@pytest.fixture
def holder(operator):
    """Makes a namespace and an admin of it."""

    def make(name: str) -> Holder:
        operator("POST", "/namespaces", 201, json={"name": name})
        made = operator("POST", "/keys", 201, json={"name": name, "scopes": ["admin"], "namespace": name}).json
        assert made["namespace"] == name
        return Holder(operator.client, made["key"])

    return make


@dataclass
class Theirs:
    """Everything that a namespace has of its own."""

    holder: Holder
    function: dict
    queued: str
    ended: str
    batch: str


@pytest.fixture
def theirs(holder, database, publisher) -> Theirs:
    """A namespace `b` with one of each."""
    b = holder("b")
    b("PUT", "/secrets/token", 201, json={"value": "v"})
    function = b.function("theirs", secrets={"TOKEN": "token"})
    queued = b("POST", "/invoke", 202, json={"function_id": "theirs", "payload": 1}).json["id"]
    batch = b("POST", "/invoke/batch", 202, json={"items": [{"function_id": "theirs"}]}).json["batch_id"]
    ended = b("POST", "/invoke", 202, json={"function_id": "theirs", "payload": 2}).json["id"]
    run_sql(
        database, "UPDATE invocations SET status = 'succeeded', result = '2', finished_at = now() WHERE id = %s", ended
    )
    return Theirs(b, function, queued, ended, batch)


def paths(rule, theirs: Theirs) -> list[str]:
    """A route with each of the other namespace's things in it."""
    known = {
        "ref": (theirs.function["id"], "theirs"),
        "id_": (theirs.queued, theirs.ended),
        "name": ("theirs", "token"),
        "rest": ("",),
        "namespace": ("default", "a", "b"),
    }
    found = [rule.rule]
    for argument in rule.arguments:
        assert argument in known, f"{rule.endpoint}: say here what another namespace has for {argument!r}"
        found = [
            path.replace(f"<{argument}>", value).replace(f"<rest:{argument}>", value)
            for path in found
            for value in known[argument]
        ]
    assert not any("<" in path for path in found), found
    return found


def test_no_endpoint_shows_or_changes_what_another_namespace_has(theirs, holder, operator, database):
    a = holder("a")
    before = snapshot(theirs)
    walked = 0
    for rule in operator.client.application.url_map.iter_rules():
        if not rule.arguments or rule.endpoint in APART:
            continue
        for path in paths(rule, theirs):
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                # A secret of one's own may have the same name; one that is not there is made.
                if (rule.endpoint, method) == ("secrets.put", "PUT"):
                    continue
                for caller in (a, operator):
                    for more in ("", "?wait=1", "?follow=true"):
                        answer = caller(method, path + more, json={})
                        assert answer.status_code == 404, f"{method} {path}{more}: {answer.status} {answer.text[:300]}"
                        walked += 1
    assert walked > 60
    assert snapshot(theirs) == before


def test_no_list_and_no_body_reaches_into_another_namespace(theirs, holder, operator):
    a = holder("a")
    refs = (theirs.function["id"], "theirs")
    for caller in (a, operator):
        for path in (
            "/functions",
            "/functions?name=theirs",
            "/invocations",
            "/invocations?status=queued",
            "/secrets",
            f"/invocations?batch_id={theirs.batch}",
            *(f"/invocations?function_id={ref}" for ref in refs),
        ):
            answer = caller("GET", path, 200).json
            assert answer["items"] == [], path
            assert not any(answer.get("counts", {}).values()), path
        page = caller("GET", "/", 200).text
        assert "theirs" not in page
        for ref in refs:
            caller("POST", "/invoke", 404, json={"function_id": ref})
            caller("POST", "/invoke/batch", 404, json={"items": [{"function_id": ref}]})
        for wanted in ({}, {"function_id": refs[0]}, {"batch_id": theirs.batch}):
            again = caller("POST", "/invocations/replay", 202, json={"status": "succeeded", **wanted}).json
            assert again["invocation_ids"] == []


def test_in_its_own_namespace_everything_is_there(theirs):
    b = theirs.holder
    assert [one["name"] for one in b("GET", "/functions", 200).json["items"]] == ["theirs"]
    assert len(b("GET", "/invocations", 200).json["items"]) == 3
    first = b("GET", "/invocations?limit=2", 200).json
    rest = b("GET", f"/invocations?limit=2&cursor={first['next_cursor']}", 200).json
    assert len(first["items"] + rest["items"]) == 3
    assert {one["id"] for one in b("GET", "/invocations?status=succeeded", 200).json["items"]} == {theirs.ended}
    assert b("GET", f"/invocations?batch_id={theirs.batch}", 200).json["counts"]["queued"] == 1
    for path in ("", "/logs", "/events"):
        b("GET", f"/invocations/{theirs.ended}{path}", 200)
    again = b("POST", f"/invocations/{theirs.ended}/replay", 202).json
    assert (again["replay_of"], again["function_name"]) == (theirs.ended, "theirs")
    assert b("POST", f"/invocations/{theirs.queued}/cancel", 202).json["status"] == "cancelled"
    assert "theirs" in b("GET", "/", 200).text
    b("PUT", "/functions/theirs", 200, json={"version": "2"})
    b("DELETE", "/functions/theirs", 204)
    assert len(b("GET", f"/invocations?function_id={theirs.function['id']}", 200).json["items"]) == 4


def test_names_and_idempotency_keys_are_each_namespaces_own(theirs, holder):
    a, b = holder("a"), theirs.holder
    mine = a.function("theirs", version="mine")
    assert mine["id"] != theirs.function["id"]
    assert a(
        "POST",
        "/functions",
        409,
        json={**{"name": "theirs", "runtime": "python", "handler": "main.handler"}, "code": CODE},
    )
    calls = [
        one("POST", "/invoke", 202, json={"function_id": "theirs"}, headers={"Idempotency-Key": "k"})
        for one in (a, b, a)
    ]
    assert [answer.json["function_id"] for answer in calls] == [mine["id"], theirs.function["id"], mine["id"]]
    assert [answer.headers.get("Idempotent-Replayed") for answer in calls] == [None, None, "true"]
    assert calls[0].json["id"] == calls[2].json["id"]
    # A secret of the same name is another one, and changing it gives nobody else's function a revision.
    a("PUT", "/secrets/token", 201, json={"value": "a's"})
    assert b("GET", "/functions/theirs", 200).json["revision"] == 1


def test_an_admin_of_a_namespace_is_none_of_the_platform(theirs, operator, holder):
    b = theirs.holder
    for method, path in (("GET", "/namespaces"), ("POST", "/namespaces"), ("GET", "/metrics")):
        b(method, path, 403, json={"name": "more"} if method == "POST" else None)
    b("POST", "/keys", 403, json={"name": "k", "scopes": ["admin"], "namespace": "default"})
    own = b("POST", "/keys", 201, json={"name": "k", "scopes": ["invoke"]}).json
    assert own["namespace"] == "b"
    assert {one["namespace"] for one in b("GET", "/keys", 200).json["items"]} == {"b"}
    everybody = operator("GET", "/keys", 200).json["items"]
    assert {one["namespace"] for one in everybody} == {"default", "b"}
    first = next(one["id"] for one in everybody if one["namespace"] == "default")
    b("DELETE", f"/keys/{first}", 404)
    b("DELETE", f"/keys/{own['id']}", 204)
    operator("POST", "/keys", 422, json={"name": "k", "scopes": ["invoke"], "namespace": "nowhere"})
    operator("POST", "/namespaces", 409, json={"name": "b"})


def test_the_audit_log_says_who_changed_what_from_where(theirs, operator, holder):
    b = theirs.holder
    b("PUT", "/functions/theirs", 200, json={"version": "2"}, headers={"X-Request-ID": "mine"})
    first = b("GET", "/audit?limit=2", 200).json
    update, create = first["items"]
    assert (update["action"], update["object"], update["request_id"]) == ("functions.update", "theirs", "mine")
    assert (update["key_name"], update["namespace"], update["remote"]) == ("b", "b", "127.0.0.1")
    assert (create["action"], create["object"]) == ("functions.create", theirs.function["id"])
    rest = b("GET", f"/audit?cursor={first['next_cursor']}", 200).json["items"]
    assert [one["action"] for one in rest] == ["secrets.put"]
    everything = operator("GET", "/audit", 200).json["items"]
    assert {one["namespace"] for one in everything} == {"default", "b"}
    assert [one["action"] for one in everything if one["namespace"] == "default"] == [
        "keys.create",
        "namespaces.create",
        "keys.create",
    ]
    assert next(one for one in reversed(everything))["key_id"] is None, "the first key was made by nobody"
    # A call that was refused has changed nothing.
    operator("DELETE", "/functions/theirs", 404)
    assert operator("GET", "/audit", 200).json["items"] == everything


@pytest.mark.parametrize(("proxies", "remote"), [("0", "127.0.0.1"), ("1", "192.0.2.2"), ("2", "192.0.2.1")])
def test_a_forwarded_address_is_believed_from_ones_own_proxies_alone(
    services, database_url, redis_url, proxies, remote
):
    settings = config.load({"DATABASE_URL": database_url, "REDIS_URL": redis_url, "FAAS_TRUSTED_PROXIES": proxies})
    client = create_app(services, settings).test_client()
    headers = {"X-Forwarded-For": "192.0.2.66, 192.0.2.1, 192.0.2.2"}
    assert client.post("/namespaces", json={"name": "n"}, headers=headers).status_code == 201
    assert client.get("/audit").json["items"][0]["remote"] == remote


def test_work_of_a_namespace_runs_and_ends(theirs, database, publisher):
    claim = claimed(database, theirs.function["id"], namespace="b")
    assert claim.revision.namespace == "b"
    Endings(database, publisher, platform_retries=0).end(claim, succeeded(5))
    assert invocations.get(database, claim.invocation_id).status is Status.SUCCEEDED
    assert theirs.holder("GET", f"/invocations/{claim.invocation_id}", 200).json["result"] == 5


def test_what_is_enqueued_in_a_transaction_names_its_namespace(theirs, database_url):
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg2:", 1))
    try:
        with engine.begin() as connection:
            made = enqueue(connection, "theirs", namespace="b")
            for ref in ("theirs", theirs.function["id"]):
                with pytest.raises(NotFound):
                    enqueue(connection, ref)
    finally:
        engine.dispose()
    assert theirs.holder("GET", f"/invocations/{made}", 200).json["status"] == "queued"


def test_an_endpoint_that_is_not_thought_about_is_closed():
    assert auth.scope_of("new.endpoint") == "admin"


def snapshot(theirs: Theirs) -> list:
    b = theirs.holder
    return [
        b("GET", path, 200).json
        for path in (f"/functions/{theirs.function['id']}", "/invocations", f"/invocations/{theirs.queued}", "/secrets")
    ]


def test_what_a_namespace_may_use_is_said_by_keys_of_default_alone(holder, operator):
    a = holder("a")
    for name in ("a", "default"):
        assert a("PUT", f"/namespaces/{name}", json={}).status_code == 403
    assert operator("PUT", "/namespaces/a", 200, json={"concurrent": 3}).json["quotas"]["concurrent"] == 3
    refused = a(
        "POST",
        "/functions",
        json={"name": "f", "runtime": "python", "handler": "main.handler", "code": CODE, "max_concurrency": 4},
    )
    assert refused.status_code == 409
    # It is nobody else's.
    operator.function("f", max_concurrency=4)
