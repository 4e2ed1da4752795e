"""Listening to a channel of a real Redis."""

from __future__ import annotations

import itertools
import logging
import queue
import time
from contextlib import contextmanager

import pytest
from factories import eventually

from faas.embedded.ports import free_port
from faas.queueing.listener import Listener


@contextmanager
def listening(redis_url):
    """What is said on the channel meanwhile."""
    said: queue.Queue[str] = queue.Queue()
    listener = Listener(redis_url, ("channel",), said.put)
    listener.start()
    try:
        yield said
    finally:
        listener.stop()


@pytest.fixture
def heard(redis_url):
    with listening(redis_url) as said:
        yield said


def subscribed(client):
    return eventually(lambda: client.pubsub_numsub("channel")[0][1] == 1)


def test_what_is_said_is_heard_in_order(client, heard):
    subscribed(client)
    for n in range(50):
        client.publish("channel", f"m{n}")
    client.publish("another", "x")
    assert [heard.get(timeout=30) for _ in range(50)] == [f"m{n}" for n in range(50)]
    assert heard.empty()


def test_what_is_no_text_does_not_end_it(client, heard):
    subscribed(client)
    client.publish("channel", b"\xff\xfe")
    eventually(lambda: client.publish("channel", "again") == 1 and not heard.empty())
    assert heard.get(timeout=30) == "again"


def test_it_comes_back_after_its_connection_was_killed_and_warns_once_for_each_outage(client, heard, caplog):
    subscribed(client)
    for outage in itertools.count(1):
        with caplog.at_level(logging.WARNING, "faas.queueing"):
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            eventually(lambda: client.publish("channel", "again") == 1)
        assert heard.get(timeout=30) == "again"
        if outage == 2:
            break
    assert len([one for one in caplog.records if "cut off" in one.message]) <= 2


def test_it_says_when_it_listens(client, redis_url):
    said: queue.Queue[str] = queue.Queue()
    listener = Listener(redis_url, ("channel", "another"), said.put)
    assert not listener.wait_ready(0)
    listener.start()
    assert listener.wait_ready(30)
    assert client.publish("another", "at once") == 1
    assert said.get(timeout=30) == "at once"
    listener.leave()
    eventually(lambda: not listener._thread.is_alive())
    assert not listener.wait_ready(0)


def test_without_a_redis_it_goes_on_trying_and_can_be_stopped(caplog):
    listener = Listener(f"redis://127.0.0.1:{free_port()}/0", ("channel",), lambda _: None)
    with caplog.at_level(logging.WARNING, "faas.queueing"):
        listener.start()
        eventually(lambda: [one for one in caplog.records if "cut off" in one.message])
    listener.stop()
    assert not listener._thread.is_alive()


def test_it_may_be_stopped_before_it_was_started():
    Listener("redis://127.0.0.1:1/0", ("channel",), lambda _: None).stop()


def test_a_redis_that_says_nothing_any_more_is_left_and_found_again(client, monkeypatch, redis_url, caplog):
    # So its connections are asked for a sign of life after 0.3 s, and left after 0.6 s.
    monkeypatch.setattr("faas.queueing.listener._POLL_SECONDS", 0.02)
    with caplog.at_level(logging.WARNING, "faas.queueing"), listening(redis_url) as said:
        subscribed(client)
        client.execute_command("CLIENT", "PAUSE", 3000, "ALL")
        eventually(lambda: [one for one in caplog.records if "not even the answer" in one.getMessage()])
        eventually(lambda: client.publish("channel", "again") == 1)
        assert said.get(timeout=30) == "again"


def test_a_quiet_channel_stays_open_while_redis_answers(client, monkeypatch, redis_url, caplog):
    monkeypatch.setattr("faas.queueing.listener._POLL_SECONDS", 0.1)
    with caplog.at_level(logging.WARNING, "faas.queueing"), listening(redis_url) as said:
        subscribed(client)
        time.sleep(4)
        assert client.publish("channel", "still") == 1
        assert said.get(timeout=30) == "still"
    assert not [one for one in caplog.records if one.name == "faas.queueing"]
