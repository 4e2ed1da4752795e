"""Publishing to a real Redis, and the message against Celery's own."""

from __future__ import annotations

import base64
import json
import os
import time
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from faas.domain import ids
from faas.embedded.ports import free_port
from faas.errors import BrokerDown
from faas.queueing import names
from faas.queueing.publisher import Publisher, connect


def decoded(text: str) -> dict:
    message = json.loads(text)
    message["body"] = json.loads(base64.b64decode(message["body"]))
    return message


def test_a_message_is_the_one_that_celery_itself_would_send(publisher, client, redis_url):
    one = ids.uuid7()
    publisher.invocations([one])
    ours = decoded(client.lpop(names.QUEUE))
    app = Celery(broker=redis_url, set_as_current=False)
    app.conf.task_default_queue = names.QUEUE
    try:
        app.send_task(names.INVOKE, [one], task_id=one)
        theirs = decoded(client.lpop(names.QUEUE))
    finally:
        app.close()
    assert ours["body"] == theirs["body"]
    assert (ours["content-type"], ours["content-encoding"]) == (theirs["content-type"], theirs["content-encoding"])
    # What only tells the sender, or is read by other parts of Celery than a worker's consumer.
    unread = {"argsrepr", "kwargsrepr", "origin", "replaced_task_nesting", "stamped_headers", "stamps"}
    for header in theirs["headers"].keys() - unread:
        assert (ours["headers"][header] or None) == (theirs["headers"][header] or None), header
    unlike = {"delivery_tag", "reply_to"}
    assert ours["properties"].keys() == theirs["properties"].keys()
    for name in theirs["properties"].keys() - unlike:
        assert ours["properties"][name] == theirs["properties"][name], name


def test_messages_carry_an_id_and_nothing_else_and_come_out_in_order(publisher, client):
    mine = [ids.uuid7() for _ in range(5)]
    publisher.invocations(mine)
    publisher.build("f", 3)
    read = [decoded(client.rpop(names.QUEUE)) for _ in range(6)]
    assert [one["body"][0] for one in read] == [[one] for one in mine] + [["f", 3]]
    assert [one["headers"]["task"] for one in read] == [names.INVOKE] * 5 + [names.BUILD]
    assert len({one["properties"]["delivery_tag"] for one in read}) == 6


def test_nothing_to_publish_needs_no_redis():
    opened = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    opened.send()
    opened.invocations([])
    opened.close()


def test_a_wipe_is_noticed_once_however_much_is_published_after_it(publisher, client):
    assert publisher.wiped()
    publisher.invocations([ids.uuid7()])
    assert not publisher.wiped()
    assert publisher.backlog() == 1
    client.flushall()
    publisher.invocations([ids.uuid7()])
    assert publisher.wiped()
    assert not publisher.wiped()


def test_a_state_of_another_start_is_noticed(publisher, client):
    publisher.wiped()
    # As after a start with a file that was written under an earlier one.
    client.set(names.EPOCH, "the run id of an earlier start")
    assert publisher.wiped()
    assert not publisher.wiped()


def test_where_the_server_s_start_may_not_be_asked_a_wipe_is_noticed_all_the_same(redis_url, client):
    client.execute_command("ACL", "SETUSER", "narrow", "on", ">narrow", "~*", "&*", "+@all", "-info")
    opened = Publisher(f"redis://narrow:narrow@{urlsplit(redis_url).netloc.rpartition('@')[2]}/0")
    try:
        assert opened.wiped()
        assert not opened.wiped()
        client.delete(names.EPOCH)
        assert opened.wiped()
    finally:
        opened.close()
        client.execute_command("ACL", "DELUSER", "narrow")


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.ping(),
        lambda one: one.invocations(["x"]),
        lambda one: one.cancel("x"),
        lambda one: one.build("f", 1),
        lambda one: one.wiped(),
        lambda one: one.backlog(),
    ],
)
def test_a_redis_that_is_away_is_broker_down_and_soon(ask):
    opened = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    with pytest.raises(BrokerDown):
        ask(opened)
    assert time.monotonic() - began < 20
    opened.close()


def test_a_wrong_password_is_broker_down(redis_url):
    opened = Publisher(redis_url.replace("redis://:", "redis://:x", 1))
    with pytest.raises(BrokerDown):
        opened.ping()
    opened.close()


def test_a_full_redis_is_broker_down(publisher, client):
    publisher.ping()
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(BrokerDown):
            publisher.invocations([ids.uuid7()])
    finally:
        client.config_set("maxmemory", "0")
    publisher.invocations([ids.uuid7()])


def test_a_closed_connection_is_opened_again(publisher, client):
    publisher.ping()
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    publisher.invocations([ids.uuid7()])
    assert client.llen(names.QUEUE) == 1


def test_a_child_process_uses_a_connection_of_its_own(publisher, client, redis_url):
    publisher.ping()
    child = os.fork()
    if child == 0:
        try:
            publisher.invocations([ids.uuid7()])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    publisher.invocations([ids.uuid7()])
    assert client.llen(names.QUEUE) == 2
    assert len([one for one in client.client_list() if one["cmd"] in ("lpush", "ping")]) >= 1


def test_every_wait_of_a_client_is_bounded(redis_url):
    client = connect(redis_url, read_seconds=0.3)
    with pytest.raises(redis.TimeoutError):
        client.blpop(["nothing"], timeout=30)
    client.close()
