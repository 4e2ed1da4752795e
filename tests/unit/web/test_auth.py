"""API keys over HTTP, on a real database: who may call what."""

from __future__ import annotations

import base64
import logging
import time

import pytest

from faas import config
from faas.db.database import Database
from faas.domain.access import Scope
from faas.services import Services
from faas.services.access import REMEMBERED_S
from faas.web import auth, create_app, openapi
from faas.web.guard import guard


def settings(database_url: str, redis_url: str, tmp_path, **more: str) -> config.Settings:
    return config.load(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STORAGE_BASE_DIR": f"{tmp_path / 'code'}"} | more
    )


@pytest.fixture
def start(database_url, redis_url, tmp_path):
    """Makes one more process of a server; keywords are variables of it."""
    opened: list[Services] = []

    def make(**more: str):
        own = settings(database_url, redis_url, tmp_path, **more)
        opened.append(Services.open(own))
        return create_app(opened[-1], own).test_client()

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def client(start):
    return start()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def make_key(client, *scopes: str, admin: str | None = None, **fields) -> dict:
    answer = client.post(
        "/keys", json={"name": "k", "scopes": list(scopes), **fields}, headers=bearer(admin) if admin else {}
    )
    assert answer.status_code == 201, answer.text
    return answer.json


@pytest.fixture
def admin(client) -> str:
    """The first key."""
    return make_key(client, "admin")["key"]


def test_a_server_without_keys_is_open_until_the_first_is_made(client, start):
    other = start()
    assert client.get("/functions").status_code == other.get("/functions").status_code == 200
    make_key(client, "admin")
    assert client.get("/functions").status_code == 401
    time.sleep(REMEMBERED_S)
    assert other.get("/functions").status_code == 401, "another process learns of it too"


def test_on_another_address_it_is_never_open_but_where_that_is_meant(start):
    closed, meant = start(SERVER_ADDR="0.0.0.0:8080"), start(SERVER_ADDR="0.0.0.0:8080", FAAS_ALLOW_ANONYMOUS="true")
    assert closed.get("/functions").status_code == 401
    assert meant.get("/functions").status_code == 200


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "example.com:80"])
def test_on_another_address_it_does_not_start_without_a_key(database_url, redis_url, tmp_path, start, address):
    own = settings(database_url, redis_url, tmp_path, SERVER_ADDR=address)
    with pytest.raises(SystemExit, match=r"SERVER_ADDR: .*no API key was made.*FAAS_ALLOW_ANONYMOUS"):
        guard(own)
    guard(settings(database_url, redis_url, tmp_path, SERVER_ADDR=address, FAAS_ALLOW_ANONYMOUS="true"))
    make_key(start(), "admin")
    guard(own)


@pytest.mark.parametrize("address", [":8080", "127.0.0.1:80", "[::1]:80", "localhost:80", "127.9.9.9:80"])
def test_on_a_loopback_address_it_starts_open_and_says_so(database_url, redis_url, tmp_path, caplog, address):
    with caplog.at_level(logging.WARNING):
        guard(settings(database_url, redis_url, tmp_path, SERVER_ADDR=address))
    assert "calls are open" in caplog.text


def test_it_starts_closed_where_the_database_is_away(redis_url, tmp_path):
    guard(settings("postgresql://x:x@127.0.0.1:1/x", redis_url, tmp_path, SERVER_ADDR="0.0.0.0:8080"))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic Og==",
        "Bearer faas_0123456789_" + "0" * 43,
        "Bearer faas_" + "é" * 10 + "_" + "0" * 43,
        "Bearer \x00",
        "bearer faas_0123456789_" + "0" * 42,
        "Bearer " + "f" * 8000,
    ],
)
def test_without_a_good_key_every_call_is_refused(client, admin, is_problem, header):
    headers = {} if header is None else {"Authorization": header}
    answer = client.get("/functions", headers=headers)
    is_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_that_differs_in_one_letter_is_no_key(client, admin):
    for at in (6, 20, len(admin) - 1):
        wrong = admin[:at] + ("a" if admin[at] != "a" else "b") + admin[at + 1 :]
        assert client.get("/functions", headers=bearer(wrong)).status_code == 401
    assert client.get("/functions", headers=bearer(admin)).status_code == 200


def test_a_key_in_the_url_is_not_looked_at(client, admin):
    for name in ("key", "api_key", "access_token", "token"):
        assert client.get(f"/functions?{name}={admin}").status_code == 401


def test_each_endpoint_takes_its_scope_and_admin_and_no_other(client, admin, is_problem):
    keys = {scope: make_key(client, scope.value, admin=admin)["key"] for scope in Scope}
    seen = set()
    for rule in client.application.url_map.iter_rules():
        scope = auth.scope_of(rule.endpoint)
        path = rule.rule.replace("<id_>", "01977d2c-7f4e-7d3a-9b62-0e1b7c9a4d55").replace("<ref>", "nobody")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            if scope is None:
                with client.open(path, method=method) as answer:
                    assert answer.status_code != 401
                continue
            seen.add(rule.endpoint)
            assert client.open(path, method=method).status_code == 401, path
            for held, key in keys.items():
                answer = client.open(path, method=method, headers=bearer(key))
                if held in (scope, Scope.ADMIN):
                    assert answer.status_code not in (401, 403), (path, held, answer.text)
                else:
                    assert scope.value in is_problem(answer, 403)["detail"], (path, held)
    assert len(seen) > 15


def test_the_document_says_which_scope_a_call_takes(client):
    paths = openapi.document()["paths"]
    for rule in client.application.url_map.iter_rules():
        path = rule.rule.replace("<id_>", "{id}").replace("<ref>", "{ref}")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            operation = paths.get(path, {}).get(method.lower())
            if operation is not None:
                scope = auth.scope_of(rule.endpoint)
                assert operation.get("security") == (None if scope is None else [{"key": [scope.value]}]), path


def test_a_key_is_shown_once_and_kept_as_a_digest(client, admin, database_url):
    made = make_key(client, "invoke", admin=admin, name="billing")
    listed = client.get("/keys", headers=bearer(admin)).json["items"]
    assert [key["name"] for key in listed] == ["billing", "k"]
    assert "key" not in listed[0]
    assert made["key"].startswith(listed[0]["prefix"])
    database = Database(database_url, connections=1)
    with database.autocommit() as tx:
        rows = str(tx.rows("SELECT k::text FROM api_keys k"))
    database.close()
    for key in (made["key"], admin):
        assert key not in rows
        assert key.rpartition("_")[2] not in rows


def test_a_revoked_key_is_good_no_more_soon_in_every_process(client, start, admin, is_problem):
    made = make_key(client, "functions:read", admin=admin)
    other = start()
    assert other.get("/functions", headers=bearer(made["key"])).status_code == 200
    assert client.delete(f"/keys/{made['id']}", headers=bearer(admin)).status_code == 204
    assert client.get("/functions", headers=bearer(made["key"])).status_code == 401
    time.sleep(REMEMBERED_S + 0.1)
    assert other.get("/functions", headers=bearer(made["key"])).status_code == 401
    assert client.delete(f"/keys/{made['id']}", headers=bearer(admin)).status_code == 204
    is_problem(client.delete("/keys/01977d2c-7f4e-7d3a-9b62-0e1b7c9a4d55", headers=bearer(admin)), 404)
    is_problem(client.delete("/keys/nonsense", headers=bearer(admin)), 404)


def test_a_key_expires(client, admin, database_url):
    made = make_key(client, "functions:read", admin=admin, expires_in="1h")
    assert client.get("/functions", headers=bearer(made["key"])).status_code == 200
    database = Database(database_url, connections=1)
    with database.begin() as tx:
        tx.run("UPDATE api_keys SET expires_at = now() WHERE id = %s", (made["id"],))
    database.close()
    time.sleep(REMEMBERED_S + 0.1)
    assert client.get("/functions", headers=bearer(made["key"])).status_code == 401


def test_its_last_use_is_known_to_a_minute(client, admin):
    made = make_key(client, "functions:read", admin=admin)
    client.get("/functions", headers=bearer(made["key"]))
    used = [key["last_used_at"] for key in client.get("/keys", headers=bearer(admin)).json["items"]]
    assert all(used), used


def test_the_first_key_must_be_able_to_make_others_and_the_last_such_stays(client, is_problem):
    is_problem(client.post("/keys", json={"name": "k", "scopes": ["invoke"]}), 422, "scopes")
    is_problem(client.post("/keys", json={"name": "k", "scopes": ["admin"], "expires_in": "1h"}), 422, "scopes")
    assert client.get("/functions").status_code == 200, "a refused key closes nothing"
    first = make_key(client, "admin")
    is_problem(client.delete(f"/keys/{first['id']}", headers=bearer(first["key"])), 409)
    second = make_key(client, "admin", admin=first["key"])
    assert client.delete(f"/keys/{first['id']}", headers=bearer(second["key"])).status_code == 204
    is_problem(client.delete(f"/keys/{second['id']}", headers=bearer(second["key"])), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "", "scopes": ["admin"]}, "name"),
        ({"name": "a\nb", "scopes": ["admin"]}, "name"),
        ({"name": "x" * 101, "scopes": ["admin"]}, "name"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": ["root"]}, "scopes"),
        ({"name": "k", "scopes": "admin"}, "scopes"),
        ({"name": "k", "scopes": ["admin"], "expires_in": "1s"}, "expires_in"),
        ({"name": "k", "scopes": ["admin"], "key": "mine"}, "key"),
    ],
)
def test_a_key_that_can_not_be_made(client, is_problem, body, field):
    is_problem(client.post("/keys", json=body), 422, field)


def test_pages_ask_for_the_key_as_a_password(client, admin):
    answer = client.get("/")
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    login = base64.b64encode(f"anybody:{admin}".encode()).decode()
    assert client.get("/", headers={"Authorization": f"Basic {login}"}).status_code == 200
    # An API call that a browser could be made to send is not let in by it.
    assert client.get("/functions", headers={"Authorization": f"Basic {login}"}).status_code == 401


def test_changes_are_in_the_audit_log_and_keys_are_in_no_log(client, admin, body, caplog):
    with caplog.at_level(logging.DEBUG):
        client.post("/functions", json=body(name="audited"), headers=bearer(admin))
        client.delete("/functions/audited", headers=bearer(admin))
        made = make_key(client, "invoke", admin=admin)
        client.get("/functions", headers=bearer(made["key"] + "x"))
        client.get("/functions", headers=bearer(made["key"]))
    lines = [record.fields for record in caplog.records if record.name == "faas.audit"]
    assert [line["action"] for line in lines] == ["functions.create", "functions.delete", "keys.create"]
    assert all(line["key_id"] and line["key_name"] == "k" and line["remote"] == "127.0.0.1" for line in lines)
    assert lines[1]["object"] == "audited"
    everything = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    for key in (admin, made["key"]):
        assert key.rpartition("_")[2] not in everything


def test_a_key_makes_so_many_calls_a_minute_over_all_processes(client, start, admin, is_problem):
    made = make_key(client, "functions:read", admin=admin, requests_per_minute=5)
    other, headers = start(), bearer(made["key"])
    answers = [(client, other)[n % 2].get("/functions", headers=headers) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0"]
    refused = other.get("/functions", headers=headers)
    is_problem(refused, 429)
    assert refused.headers["RateLimit-Limit"] == "5"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # Nobody else is held up by it.
    answer = client.get("/functions", headers=bearer(admin))
    assert answer.status_code == 200
    assert "RateLimit-Limit" not in answer.headers


def test_calls_are_let_in_uncounted_where_redis_is_away(client, start, admin):
    made = make_key(client, "functions:read", admin=admin, requests_per_minute=1)
    away = start(REDIS_URL="redis://127.0.0.1:1/0")
    for _ in range(3):
        answer = away.get("/functions", headers=bearer(made["key"]))
        assert answer.status_code == 200
        assert "RateLimit-Limit" not in answer.headers
