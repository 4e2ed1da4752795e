"""The messages of the broker: Celery's protocol 2 as kombu's Redis transport writes it.

Rendered here: four times as fast as `send_task`, and thirty-six times in a pipeline (PERFORMANCE.md). An ordinary
`send_task("faas.invoke", [id], task_id=id)` from any Celery application does the same. What was rendered here is also known again by its text, for a
tenth of what reading it as JSON takes; a message from elsewhere is another text, and goes the long way.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import uuid
from typing import Any

from faas.queueing import names

_ANY_ID, _ANY_TAG, _ANY_REPLY = (
    "00000000-0000-7000-8000-000000000000",
    "00000000-0000-4000-8000-000000000000",
    "<reply>",
)
_UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def invoke(invocation_id: str, reply_to: str = "") -> str:
    """The message of an invocation, out of one that was made before: ids are of one length, and of characters that no encoding changes.

    Args:
        reply_to: the channel on which somebody waits for its end.
    """
    before, after_body, after_reply = _template()
    return "".join(
        (
            before,
            _invoke_body(invocation_id),
            after_body.replace(_ANY_ID, invocation_id),
            reply_to,
            after_reply.replace(_ANY_ID, invocation_id).replace(_ANY_TAG, str(uuid.uuid4())),
        )
    )


def build(function_id: str, number: int) -> str:
    """The message that asks for the build of a revision."""
    body = _encoded(_body([function_id, number]))
    return _rendered(names.BUILD, str(uuid.uuid4()), body, "", str(uuid.uuid4()))


def recognised(message: bytes) -> tuple[str, str] | None:
    """What `invoke` was given, out of what it gave: the id, and the channel ("" for none). None for any other text."""
    found = _pattern().fullmatch(message)
    if found is None:
        return None
    invocation_id = found["id"].decode()
    return (invocation_id, found["reply"].decode()) if found["body"].decode() == _invoke_body(invocation_id) else None


def _invoke_body(invocation_id: str) -> str:
    return _encoded(_any_body().replace(_ANY_ID, invocation_id))


def _encoded(body: str) -> str:
    return base64.b64encode(body.encode()).decode()


@functools.cache
def _any_body() -> str:
    return _body([_ANY_ID])


@functools.cache
def _template() -> tuple[str, str, str]:
    """The text of a message around its body and its `reply_to`."""
    before, after = _rendered(names.INVOKE, _ANY_ID, "<body>", _ANY_REPLY, _ANY_TAG).split("<body>")
    after_body, after_reply = after.split(_ANY_REPLY)
    return before, after_body, after_reply


@functools.cache
def _pattern() -> re.Pattern[bytes]:
    before, after_body, after_reply = (re.escape(part.encode()) for part in _template())
    an_id, tag = re.escape(_ANY_ID.encode()), re.escape(_ANY_TAG.encode())
    # The same id in every place; no character of a channel is escaped by JSON.
    first, *others = (
        before + b"(?P<body>[A-Za-z0-9+/=]+)" + after_body + rb"(?P<reply>[\w:.@-]*)" + after_reply.replace(tag, _UUID)
    ).split(an_id)
    return re.compile(first + b"(?P<id>" + _UUID + b")" + b"(?P=id)".join(others))


def _body(args: list[Any]) -> str:
    return json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])


def _rendered(task: str, task_id: str, body: str, reply_to: str, tag: str) -> str:
    headers = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": "",
        "kwargsrepr": "{}",
        "origin": "faas",
        "ignore_result": False,
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": reply_to,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": names.QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": tag,
    }
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )
