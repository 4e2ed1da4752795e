"""`/functions`."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from faas.domain.function import PACKED_BYTES


def test_create_answers_201_with_its_place_and_the_defaults(client, body):
    response = client.post("/functions", json=body())
    assert response.status_code == 201
    made = response.json
    assert response.headers["Location"] == f"/functions/{made['id']}"
    assert client.get(response.headers["Location"]).json == made
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created_at"])
    digest = hashlib.sha256(base64.b64decode(body()["code"])).hexdigest()
    expected = {
        "name": "hello", "version": "", "revision": 1, "runtime": "python", "handler": "main.handler", "timeout": "30s", "memory_mb": 128,
        "cpus": 1.0, "max_concurrency": 10, "network": "none", "retry": {"max_attempts": 1, "backoff": "1s", "max_backoff": "1m"},
        "environment": {}, "metadata": {}, "secrets": {}, "http": {"public": False, "cors": None}, "state": "active", "state_reason": None, "code_digest": f"sha256:{digest}", "code_size": 46,
    }  # fmt: skip
    assert {name: made[name] for name in expected} == expected
    assert set(made) == {*expected, "id", "created_at", "updated_at"}


def test_create_keeps_every_field(create):
    given = {
        "version": "2.7.1-rc.1+build ☂", "memory_mb": 256, "cpus": 0.5, "max_concurrency": 3, "network": "egress",
        "environment": {"STAGE": "prüfung", "_X9": "", "lower": "a=b\nsecond line"}, "metadata": {"": 0, "nested": {"list": [1, 2.5, None]}},
    }  # fmt: skip
    made = create(timeout="1m30s", retry={"max_attempts": 4, "backoff": "250ms", "max_backoff": 5}, **given)
    assert {name: made[name] for name in given} == given
    assert (made["timeout"], made["retry"]) == ("1m30s", {"max_attempts": 4, "backoff": "250ms", "max_backoff": "5s"})


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_mb": 32}, {"memory_mb": 4096}, {"cpus": 0.1}, {"cpus": 8}, {"max_concurrency": 1000}, {"version": "é" * 64}, {"name": "a" * 64},
        {"retry": {"max_attempts": 10}}, {"environment": {"BIG": "x" * (32 * 1024 - 16)}}, {"metadata": {"big": "x" * (16 * 1024 - 64)}},
        {"timeout": "100ms"}, {"timeout": 900}, {"timeout": 0.5}, {"runtime": "node"}, {"runtime": "go", "handler": "main"},
        {"handler": "src/app.handler"},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_bounds_are_inclusive(create, fields):
    create(**fields)


BAD_FIELDS = [
    *(("name", name) for name in ["", "../x", "a/b", "a%2fb", "a\r\nb", "a\u202eb", "-a", "_a", "a" * 300, "naïve", "a\n", 5, None, True, ["a"]]),
    ("name", "01890a5d-ac96-774b-bcce-b302099a8057"), ("name", "01890A5DAC96774BBCCEB302099A8057"),
    *(("memory_mb", value) for value in [31, 4097, 0, -1, 128.0, 128.5, "128", True, None, 10**30, 1e300]),
    *(("cpus", value) for value in [0, -1, 0.09, 8.1, "1", True, None, 1e308, 10**400]),
    *(("max_concurrency", value) for value in [0, 1001, -5, 1.5, "10", False, []]),
    *(("timeout", value) for value in ["30", "", "99ms", "15m1s", "-5s", 0, -1, 1e308, 10**400, "9" * 100 + "s", "1 s", "soon", True, None, {}]),
    *(("version", value) for value in ["v" * 65, 1, None]),
    *(("runtime", value) for value in ["ruby", "Python", "", "python3", 3, None]),
    *(("network", value) for value in ["host", "NONE", None, True]),
    *(("handler", value) for value in ["os.system;ls", "a;b", "../x.y", "/x.y", "__import__", "main", "main.", ".handler", "a b.c", "a..b", "-a.b", "x" * 300 + ".y", "m.h\n", 1]),
    *(("code", value) for value in ["", "not base64!", "YQ", "YQ==\n", "Y Q==", "YQ=", "=YQ=", "_-8=", "ä", 5, None, [], "====", "YQ==YQ=="]),
    *(("retry", value) for value in [None, 5, [], "x", {"max_attempts": 0}, {"max_attempts": 11}, {"max_attempts": "3"}, {"backoff": "-1s"}, {"backoff": "1"},
                                     {"max_backoff": "9999999h"}, {"jitter": True}, {"max_attempts": None}, {"backoff_ms": 5}]),
    *(("environment", value) for value in [None, [], "A=1", {"A": 1}, {"A": None}, {"1A": "x"}, {"A-B": "x"}, {"": "x"}, {"A=B": "x"}, {"Ä": "x"}, {"A": "x" * 33_000}]),
    *(("environment", {name: "x"}) for name in ["LD_PRELOAD", "PATH", "PYTHONPATH", "NODE_OPTIONS", "FAAS_X", "AWS_LAMBDA_X", "HOME", "TMPDIR", "IFS", "BASH_ENV", "ENV"]),
    *(("metadata", value) for value in [None, [], "x", 5, {"a": "x" * 17_000}]),
    *((name, "x") for name in ["id", "revision", "state", "state_reason", "code_digest", "code_size", "created_at", "updated_at"]),
    *((name, True) for name in ["privileged", "image", "volumes", "timeout_ms", "__class__", "a.b"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=lambda value: repr(value)[:40])
def test_a_bad_field_is_named_and_makes_nothing(client, services, create, body, is_problem, field, value):
    is_problem(client.post("/functions", json=body(**{field: value})), 422, field)
    assert not services.functions.stored
    made = create()
    is_problem(client.put(f"/functions/{made['id']}", json={field: value}), 422, field)
    assert client.get("/functions/hello").json == made


@pytest.mark.parametrize("field", ["name", "runtime", "handler", "code"])
def test_a_missing_field_is_named(client, body, is_problem, field):
    given = body()
    del given[field]
    is_problem(client.post("/functions", json=given), 422, field)


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_a_body_that_is_no_object_is_422(client, is_problem, create, value):
    create()
    for method, path in [("POST", "/functions"), ("PUT", "/functions/hello"), ("POST", "/invoke")]:
        is_problem(
            client.open(path, method=method, data=json.dumps(value), content_type="application/json"), 422, "body"
        )


@pytest.mark.parametrize("environment", [{"A": "x\0"}, {"A": "\ud800"}])
def test_text_that_cant_be_stored_is_422(client, body, is_problem, environment):
    is_problem(client.post("/functions", json=body(environment=environment)), 422, "environment")


def test_read_only_fields_are_named_as_such(client, body, is_problem):
    document = is_problem(client.post("/functions", json=body(id="x", nonsense=1)), 422)
    assert document["errors"] == {"id": ["This field is read-only."], "nonsense": ["Unknown field."]}


def test_code_over_its_limit_is_413(client, services, body, is_problem):
    text = "A" * ((PACKED_BYTES + 3) // 3 * 4)
    is_problem(client.post("/functions", json=body(code=text)), 413)
    assert not services.functions.stored


def test_a_taken_name_is_409(client, create, body, is_problem):
    create()
    is_problem(client.post("/functions", json=body()), 409)


def test_put_changes_only_what_it_names(client, create):
    before = create(environment={"A": "1"}, memory_mb=64, retry={"max_attempts": 5, "backoff": "9s"})
    response = client.put(
        "/functions/hello",
        json={"memory_mb": 96, "environment": {"B": "3"}, "timeout": 7, "retry": {"max_attempts": 2}},
    )
    assert response.status_code == 200
    after = response.json
    changed = {
        "memory_mb": 96,
        "environment": {"B": "3"},
        "timeout": "7s",
        "revision": 2,
        "retry": {"max_attempts": 2, "backoff": "1s", "max_backoff": "1m"},
    }
    assert {name: after[name] for name in changed} == changed
    same = set(before) - set(changed) - {"updated_at"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_put_takes_each_field_alone(client, create):
    create()
    code = base64.b64encode(b"other").decode()
    for field, value in {
        "version": "9",
        "code": code,
        "cpus": 2,
        "runtime": "go",
        "handler": "main",
        "network": "egress",
        "metadata": {"x": 1},
        "name": "other",
    }.items():
        ref = client.get("/functions").json["items"][0]["id"]
        response = client.put(f"/functions/{ref}", json={field: value})
        assert response.status_code == 200, (field, response.text)
        assert field == "code" or response.json[field] == value
    assert response.json["code_size"] == 5


def test_an_empty_put_changes_nothing(client, create):
    made = create()
    assert client.put("/functions/hello", json={}).json == made


def test_delete_is_204_and_then_404(client, create, is_problem):
    create()
    response = client.delete("/functions/hello")
    assert (response.status_code, response.data) == (204, b"")
    is_problem(client.delete("/functions/hello"), 404)
    is_problem(client.get("/functions/hello"), 404)


@pytest.mark.parametrize(
    "ref",
    [
        "nobody",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "a%00b",
        "..%2fx",
        "%ff",
        "x" * 300,
        "a%0d%0ab",
        "-x",
    ],
)
def test_what_is_not_there_is_404(client, is_problem, ref):
    is_problem(client.get(f"/functions/{ref}"), 404)
    is_problem(client.put(f"/functions/{ref}", json={}), 404)
    is_problem(client.delete(f"/functions/{ref}"), 404)


def test_lists_walk_by_cursor_newest_first(client, create):
    made = [create(name=f"f{number}")["id"] for number in range(7)]
    seen, cursor = [], None
    for expected in (3, 3, 1):
        page = client.get("/functions", query_string={"limit": 3, **({"cursor": cursor} if cursor else {})}).json
        assert len(page["items"]) == expected
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == made[::-1]


def test_lists_filter_by_the_exact_name(client, create):
    create(name="one")
    create(name="one-more")
    assert [item["name"] for item in client.get("/functions?name=one").json["items"]] == ["one"]
    assert (
        client.get("/functions?name=ONE").json
        == client.get("/functions?name=..%2f").json
        == {"items": [], "next_cursor": None}
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={value}", "limit") for value in ["0", "201", "-1", "1.5", "", "x", "٣", "1e2", "99999999999999999999", "+5", "%205"]),
        ("limit=1&limit=2", "limit"), ("name=a&name=b", "name"), ("name=%00", "name"), ("cursor=", "cursor"), ("cursor=a%0d%0ab", "cursor"),
        ("cursor=" + "x" * 1001, "cursor"), ("cursor=%f0%9f%a6%84", "cursor"),
    ],
)  # fmt: skip
def test_bad_parameters_are_422(client, is_problem, query, field):
    is_problem(client.get(f"/functions?{query}"), 422, field)


def test_cors_settings_of_a_change_need_their_origins_too(client, create, is_problem):
    create()
    answer = client.put("/functions/hello", json={"http": {"cors": {}}})
    is_problem(answer, 422, "http")
    assert client.put("/functions/hello", json={"http": {"cors": None}}).status_code == 200
