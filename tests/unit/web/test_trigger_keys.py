"""Who may call `/fn/{name}`, on a real database: no worker runs, so nobody waits."""

from __future__ import annotations

import pytest

from faas import config
from faas.services import Services
from faas.web import create_app

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def client(database_url, redis_url, tmp_path):
    settings = config.load(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STORAGE_BASE_DIR": f"{tmp_path / 'code'}"}
    )
    services = Services.open(settings)
    yield create_app(services, settings).test_client()
    services.close()


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def make_key(client, scope, admin=None):
    answer = client.post("/keys", json={"name": "k", "scopes": [scope]}, headers=bearer(admin) if admin else {})
    assert answer.status_code == 201, answer.text
    return answer.json["key"]


def seen_headers(client, answer, admin):
    assert answer.status_code == 202, answer.text
    return client.get(answer.headers["Location"], headers=bearer(admin)).json["payload"]["headers"]


def test_a_function_is_for_those_with_a_key_unless_it_is_public(client, body):
    assert client.post("/functions", json=body()).status_code == 201
    assert client.post("/functions", json=body(name="open", http={"public": True})).status_code == 201
    admin = make_key(client, "admin")
    invoker, reader = make_key(client, "invoke", admin), make_key(client, "functions:read", admin)
    for name in ("hello", "nobody"):
        # Who has no key can't tell a name that is there from one that is not.
        answer = client.get(f"/fn/{name}", headers=ASYNC)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get(f"/fn/{name}", headers=ASYNC | bearer(reader)).status_code == 403
    assert client.get("/fn/nobody", headers=bearer(invoker)).status_code == 404
    # The platform's key is in no record, and so in no function's hands; what a public function asks for itself is.
    called = client.get("/fn/hello", headers=ASYNC | bearer(invoker))
    assert "authorization" not in seen_headers(client, called, admin)
    called = client.get("/fn/open", headers=ASYNC | bearer(invoker))
    assert "authorization" not in seen_headers(client, called, admin)
    called = client.get("/fn/open", headers=ASYNC | {"Authorization": "Basic YTpi"})
    assert seen_headers(client, called, admin)["authorization"] == "Basic YTpi"
    assert called.headers["X-Invocation-Id"] == called.json["invocation_id"]


def test_a_function_keeps_its_settings_over_revisions(client, body):
    http = {"public": True, "cors": {"allow_origins": ["https://app.example"], "allow_credentials": True}}
    shown = client.post("/functions", json=body(http=http)).json["http"]
    assert shown["public"] is True
    assert client.put("/functions/hello", json={"memory_mb": 64}).json["http"] == shown
    assert client.get("/functions/hello").json["http"] == shown
    assert client.put("/functions/hello", json={"http": {}}).json["http"] == {"public": False, "cors": None}


def test_a_path_may_name_a_namespace(client, body):
    assert client.post("/namespaces", json={"name": "team"}).status_code == 201
    admin = make_key(client, "admin")
    made = client.post("/keys", json={"name": "t", "scopes": ["admin"], "namespace": "team"}, headers=bearer(admin))
    team = made.json["key"]
    for name, public in (("own", False), ("open", True)):
        given = body(name=name, http={"public": public, "cors": {"allow_origins": ["*"]}})
        assert client.post("/functions", json=given, headers=bearer(team)).status_code == 201
    status = {
        (path, key): client.get(path, headers=ASYNC | (bearer(key) if key else {})).status_code
        for path in ("/fn/own", "/fn/open", "/ns/team/fn/own", "/ns/team/fn/open/x")
        for key in (None, admin, team)
    }
    assert status == {
        ("/fn/own", None): 401, ("/fn/own", admin): 404, ("/fn/own", team): 202,
        ("/fn/open", None): 401, ("/fn/open", admin): 404, ("/fn/open", team): 202,
        ("/ns/team/fn/own", None): 401, ("/ns/team/fn/own", admin): 404, ("/ns/team/fn/own", team): 202,
        ("/ns/team/fn/open/x", None): 202, ("/ns/team/fn/open/x", admin): 202, ("/ns/team/fn/open/x", team): 202,
    }  # fmt: skip
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert client.options("/ns/team/fn/own", headers=asked).status_code == 204
