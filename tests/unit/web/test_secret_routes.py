"""`/secrets`: values go in and never come out, neither in answers nor in what is logged."""

from __future__ import annotations

import logging

import pytest

from faas import config
from faas.services import Services
from faas.services.vault import new_key
from faas.web import create_app

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def settings(database_url, redis_url, tmp_path):
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STORAGE_BASE_DIR": str(tmp_path / "storage"),
        "FAAS_SECRETS_KEY": f"{new_key()},{new_key()}",
    }


@pytest.fixture
def services(settings):
    opened = Services.open(config.load(settings))
    yield opened
    opened.close()


def test_set_list_bind_and_delete(client, body):
    made = client.put("/secrets/db", json={"value": VALUE})
    assert (made.status_code, made.json["version"], made.json["functions"]) == (201, 1, [])
    function = client.post("/functions", json=body(secrets={"PASSWORD": "db"}))
    assert function.status_code == 201
    assert function.json["secrets"] == {"PASSWORD": "db"}
    again = client.put("/secrets/db", json={"value": "another"})
    assert (again.status_code, again.json["version"], again.json["functions"]) == (200, 2, ["hello"])
    assert client.get("/functions/hello").json["revision"] == 2
    assert client.delete("/secrets/db").status_code == 409
    changed = client.put("/functions/hello", json={"secrets": {}})
    assert changed.json["secrets"] == {}
    assert client.delete("/secrets/db").status_code == 204
    assert client.get("/secrets").json == {"items": [], "next_cursor": None}


def test_no_answer_and_no_log_line_has_the_value(client, body, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [
        client.put("/secrets/db", json={"value": VALUE}),
        client.put("/secrets/db", json={"value": VALUE, "more": 1}),
        client.put("/secrets/db", json={"value": [VALUE]}),
        client.put("/secrets/-", json={"value": VALUE}),
        client.put("/secrets/db", data=f'{{"value": "{VALUE}"', content_type="application/json"),
        client.put("/secrets/db", data=f'{{"value": "{VALUE}", "value": 1}}', content_type="application/json"),
        client.post("/functions", json=body(secrets={"PASSWORD": "db"})),
        client.get("/secrets"),
        client.get("/secrets/db"),
        client.delete("/secrets/db"),
    ]
    assert [one.status_code for one in answers] == [201, 422, 422, 422, 400, 400, 201, 200, 405, 409]
    for answer in answers:
        assert VALUE not in answer.text + str(answer.headers)
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("", 422),
        (7, 422),
        (None, 422),
        ("a\0b", 422),
        ("x" * 65537, 413),
        ("é" * 32769, 413),
        ("é" * 32768, 201),
        ("line\nline\n", 201),
    ],
)
def test_bounds_of_a_value(client, value, status):
    assert client.put("/secrets/db", json={"value": value}).status_code == status


@pytest.mark.parametrize(
    ("bindings", "field"),
    [
        ({"PASSWORD": "nothing"}, "secrets.PASSWORD"),
        ({"PASSWORD": "../db"}, "secrets.PASSWORD"),
        ({"PASSWORD": 1}, "secrets.PASSWORD"),
        ({"PATH": "db"}, "secrets.PATH"),
        ({"FAAS_X": "db"}, "secrets.FAAS_X"),
        ({"1": "db"}, "secrets.1"),
        (["db"], "secrets"),
        ({f"V{n}": "db" for n in range(17)}, "secrets"),
    ],
)
def test_bindings_that_can_not_be(client, body, is_problem, bindings, field):
    client.put("/secrets/db", json={"value": VALUE})
    is_problem(client.post("/functions", json=body(secrets=bindings)), 422, field)
    assert client.get("/functions").json["items"] == []


def test_a_server_without_a_key_says_what_to_set(settings, is_problem):
    del settings["FAAS_SECRETS_KEY"]
    services = Services.open(config.load(settings))
    try:
        client = create_app(services).test_client()
        assert "FAAS_SECRETS_KEY" in is_problem(client.put("/secrets/db", json={"value": VALUE}), 409)["detail"]
        assert client.get("/secrets").status_code == 200
    finally:
        services.close()
