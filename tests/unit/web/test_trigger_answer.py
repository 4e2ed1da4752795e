"""What a function returns, as an answer."""

from __future__ import annotations

import pytest

from faas.web.trigger_answer import WrongAnswer, answer


@pytest.mark.parametrize(
    "result", [None, "text", 3, [1], {"status": "ok"}, {"status": 200, "count": 1}, {"status": True}, {"body": "x"}]
)
def test_a_result_that_is_no_answer_is_json(result):
    made = answer(result)
    assert (made.status_code, made.content_type, made.json) == (200, "application/json", result)


def test_an_answer_is_sent_as_it_is():
    headers = {"content-type": "text/html", "Set-Cookie": ["a=1", "b=2"], "X-Number": 3}
    made = answer({"status": 201, "headers": headers, "body": "<p>ø"})
    assert (made.status_code, made.data, made.content_type) == (201, "<p>ø".encode(), "text/html")
    assert made.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert made.headers["X-Number"] == "3"


def test_bytes_come_back_as_they_were():
    made = answer({"status": 200, "body": "AP8=", "is_base64": True})
    assert (made.data, made.content_type) == (b"\x00\xff", "application/octet-stream")


@pytest.mark.parametrize(
    ("body", "content", "content_type"),
    [
        (None, b"", "text/plain; charset=utf-8"),
        ("a", b"a", "text/plain; charset=utf-8"),
        ({"a": 1}, b'{"a":1}', "application/json"),
    ],
)
def test_the_media_type_follows_the_body_where_none_is_named(body, content, content_type):
    made = answer({"status": 404, "body": body})
    assert (made.status_code, made.data, made.content_type) == (404, content, content_type)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status):
    made = answer({"status": status, "body": "x"})
    assert made.data == b""
    assert "Content-Type" not in made.headers


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "transfer-encoding",
        "Content-Length",
        "Strict-Transport-Security",
        "Service-Worker-Allowed",
        "X-Invocation-Id",
    ],
)
def test_headers_of_the_connection_and_of_the_host_are_left_out(name):
    assert "77" not in answer({"status": 200, "headers": {name: "77"}, "body": "x"}).headers.getlist(name)


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"status": 99}, "status"),
        ({"status": 101}, "status"),
        ({"status": 600}, "status"),
        ({"status": 200, "headers": {"X": "a\r\nSet-Cookie: b=1"}}, "headers.X"),
        ({"status": 200, "headers": {"X": "a\nb"}}, "headers.X"),
        ({"status": 200, "headers": {"X": "\0"}}, "headers.X"),
        ({"status": 200, "headers": {"X": "\u4e2d"}}, "headers.X"),
        ({"status": 200, "headers": {"X": None}}, "headers.X"),
        ({"status": 200, "headers": {"X": {"a": 1}}}, "headers.X"),
        ({"status": 200, "headers": {"a b": "x"}}, "headers"),
        ({"status": 200, "headers": {"a:b": "x"}}, "headers"),
        ({"status": 200, "headers": {"": "x"}}, "headers"),
        ({"status": 200, "headers": []}, "headers"),
        ({"status": 200, "body": "not base64!", "is_base64": True}, "body"),
        ({"status": 200, "body": 3, "is_base64": True}, "body"),
        ({"status": 200, "body": "x", "is_base64": "yes"}, "is_base64"),
    ],
)
def test_an_answer_that_can_t_be_sent_names_its_field(result, field):
    with pytest.raises(WrongAnswer, match=f"^{field}"):
        answer(result)
