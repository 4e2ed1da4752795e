"""The OpenAPI document, its page, the dashboard."""

from __future__ import annotations

import re

import pytest

from faas.web import render
from faas.web.documents import code
from faas.web.stats_page import bars, milliseconds


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json


def resolve(document, node):
    while "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def walk(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from walk(child)


def test_every_route_of_the_application_is_described(client, document):
    undescribed = {"/openapi.json", "/docs", "/", "/ui/functions/<ref>", "/static/<path:filename>"}
    for rule in client.application.url_map.iter_rules():
        if rule.rule in undescribed:
            continue
        path = re.sub(r"<(?:\w+:)?(\w+?)_?>", r"{\1}", rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert method.lower() in document["paths"][path], (method, path)


def test_it_is_3_1_and_its_references_resolve(document):
    assert document["openapi"] == "3.1.0"
    operations = [node["operationId"] for node in walk(document) if isinstance(node, dict) and "operationId" in node]
    assert len(operations) == len(set(operations)) >= 12
    for node in walk(document):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            assert resolve(document, node)
        assert not isinstance(node, dict) or "nullable" not in node


def test_what_is_required_is_what_validates(document):
    schemas = document["components"]["schemas"]
    assert set(schemas["NewFunction"]["required"]) == {"name", "runtime", "handler", "code"}
    assert "required" not in schemas["FunctionChanges"]
    assert schemas["NewInvocation"]["required"] == ["function_id"]
    assert set(schemas["NewFunction"]["properties"]) == {
        "name", "version", "runtime", "handler", "code", "timeout", "memory_mb", "cpus", "max_concurrency", "network", "retry", "environment", "metadata", "secrets", "http",
    }  # fmt: skip
    assert schemas["NewFunction"]["properties"]["memory_mb"] == {
        "type": "integer",
        "minimum": 32,
        "maximum": 4096,
        "default": 128,
    }
    assert set(schemas["Retry"]["properties"]) == {"max_attempts", "backoff", "max_backoff"}


def test_answers_have_the_described_fields(document, client, create, services):
    schemas = document["components"]["schemas"]
    assert set(schemas["Function"]["required"]) == set(create())
    record = client.post("/invoke", json={"function_id": "hello"}).json
    assert set(schemas["AcceptedInvocation"]["required"]) == set(record)
    stored = services.invocations.get(record["id"])
    assert set(schemas["Invocation"]["required"]) == set(render.invocation(stored))
    assert set(schemas["InvocationItem"]["required"]) == set(render.invocation_item(stored))


def test_client_errors_are_described_as_problem_documents(document):
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation.get("responses", {}).items() if isinstance(operation, dict) else []:
                if status.startswith("4"):
                    assert "application/problem+json" in resolve(document, answer)["content"]


def test_the_page_shows_every_operation_and_fetches_nothing(client, document):
    response = client.get("/docs")
    assert response.content_type.startswith("text/html")
    for path, item in document["paths"].items():
        assert path in response.text
        for operation in item.values():
            if isinstance(operation, dict):
                assert f'id="{operation["operationId"]}"' in response.text
    assert "<script" not in response.text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', response.text)


def test_the_dashboard_lists_functions_and_invocations_escaped(client, create):
    assert "None yet" in client.get("/").text
    made = create(version="<b>&", environment={"TOKEN": "s3cr3t"})
    record = client.post("/invoke", json={"function_id": "hello"}).json
    for path in ("/", "/ui/functions/hello"):
        text = client.get(path).text
        assert made["id"] in text
        assert record["id"] in text
        assert "<b>&" not in text
        assert "&lt;b&gt;&amp;" in text
        assert "s3cr3t" not in text
    assert client.get("/ui/functions/nobody").status_code == client.get("/ui/functions/%00").status_code == 404


def test_pages_show_what_has_ended_and_load_themselves_again(client, create):
    create(name="one")
    create(name="two")
    client.post("/invoke", json={"function_id": "one"})
    for path in ("/", "/ui/functions/one"):
        text = client.get(f"{path}?window=24h").text
        assert '<meta http-equiv="refresh" content="5">' in text
        assert re.search(r'href="\?window=24h" aria-current="true"', text)
        assert "1 ended, at most 1 in 900 s" in text
        assert text.count("<rect ") == 1
        held = client.get(f"{path}?refresh=off").text
        assert "http-equiv" not in held
        assert 'href="?window=5m&amp;refresh=off"' in held
    assert "two</a>" in client.get("/").text
    assert ">two<" not in client.get("/ui/functions/one").text
    assert "http-equiv" not in client.get("/docs").text
    assert client.get("/?window=2h").status_code == client.get("/?refresh=never").status_code == 422


def test_pages_say_when_the_clock_does_not_count(client, services):
    assert "is not counted yet" not in client.get("/").text
    services.stats.lag_s = 60.0
    assert "is not counted yet" in client.get("/").text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0.0 ms"), (9.94, "9.9 ms"), (61.5, "62 ms"), (1250, "1.25 s"), (125_000, "2m05s")],
)
def test_times_are_as_people_read_them(value, shown):
    assert milliseconds(value) == shown


def test_a_bar_that_counts_anything_is_seen():
    assert list(bars([0, 1, 0, 1000])) == [(1, 1, 1), (3, 20, 1000)]
    assert list(bars([0, 0])) == list(bars([])) == []


def test_the_style_sheet_is_there(client):
    with client.get("/static/style.css") as response:
        assert response.content_type.startswith("text/css")


def test_words_in_backticks_are_code_and_all_else_is_text():
    assert code("`a<b>` is <i>, `c`") == "<code>a&lt;b&gt;</code> is &lt;i&gt;, <code>c</code>"
