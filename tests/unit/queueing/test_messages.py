"""The broker's messages, as they are rendered, and known again."""

import base64
import json

import pytest

from faas.domain import ids
from faas.queueing import messages, names

CHANNEL = f"{names.REPLY}host-1.example:8080@2_x"


@pytest.mark.parametrize("reply_to", ["", CHANNEL])
def test_what_was_rendered_is_known_again(reply_to: str) -> None:
    for _ in range(20):
        one = ids.uuid7()
        assert messages.recognised(messages.invoke(one, reply_to).encode()) == (one, reply_to)


def test_it_is_what_celery_would_write() -> None:
    one = ids.uuid7()
    message = json.loads(messages.invoke(one, CHANNEL))
    args, kwargs, embed = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([one], {})
    assert embed == {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers, properties = message["headers"], message["properties"]
    assert (headers["task"], headers["id"], headers["root_id"]) == (names.INVOKE, one, one)
    assert (properties["correlation_id"], properties["reply_to"]) == (one, CHANNEL)
    assert properties["delivery_tag"] != json.loads(messages.invoke(one))["properties"]["delivery_tag"]


def _other_id(text: str, one: str, place: int) -> str:
    """The text with another id in one of the places where the id stands."""
    parts = text.split(one)
    return one.join(parts[: place + 1]) + ids.uuid7() + one.join(parts[place + 1 :])


def test_a_text_that_differs_anywhere_is_another_one() -> None:
    one = ids.uuid7()
    text = messages.invoke(one, CHANNEL)
    others = [_other_id(text, one, place) for place in range(text.count(one))]
    others += [text + " ", text[:-1], text.replace("faas.invoke", "faas.build"), text.replace(CHANNEL, 'x", "y": "')]
    others += [
        text.replace(one, one.upper()),
        text.replace('"retries": 0', '"retries": 1'),
        "",
        "{}",
        messages.build(one, 1),
    ]
    body = json.loads(text)["body"]
    others += [text.replace(body, json.loads(messages.invoke(ids.uuid7()))["body"]), text.replace(body, "")]
    for other in others:
        assert other != text
        assert messages.recognised(other.encode()) is None, other
    assert messages.recognised(b"\xff" + text.encode()) is None
