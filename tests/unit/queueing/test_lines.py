"""Commands that are sent at once, to a real Redis."""

from __future__ import annotations

import socket
import threading

import pytest
import redis
from factories import eventually

from faas.queueing.lines import Lines
from faas.queueing.publisher import connect


@pytest.fixture
def lines(client):
    opened = Lines(client)
    yield opened
    opened.close()


def test_a_command_that_is_refused_is_said_and_the_others_are_done(lines, client):
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.exchange([("SET", "before", "1"), ("LPUSH", "text", "x"), ("SET", "after", "1")])
    assert client.mget(["before", "after"]) == ["1", "1"]
    # No answer was left for the next.
    lines.exchange([("SET", "before", "2")])
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.exchange([("LPUSH", "text", "x")])


def test_one_connection_serves_who_comes_after_another_and_is_opened_again_when_redis_closed_it(lines, client):
    def opened() -> set[str]:
        return {one["id"] for one in client.client_list() if one["cmd"] == "lpush"}

    others = opened()
    for _ in range(5):
        lines.exchange([("LPUSH", "list", "x")])
    first = opened() - others
    assert len(first) == 1
    client.client_kill_filter(_id=first.pop())
    lines.exchange([("LPUSH", "list", "x")])
    assert client.llen("list") == 6


def test_what_is_in_use_when_it_is_closed_does_not_stay_open(lines, client):
    def blocked() -> list[str]:
        return [one["id"] for one in client.client_list() if one["cmd"] == "blpop"]

    thread = threading.Thread(target=lines.exchange, args=([("BLPOP", "awaited", 60)],))
    thread.start()
    eventually(blocked)
    lines.close()
    client.rpush("awaited", "x")
    thread.join(60)
    eventually(lambda: not blocked())


def test_what_redis_does_not_answer_is_not_taken_for_the_next_answer():
    server = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def serve() -> None:
        while True:
            try:
                accepted.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    slow = connect(f"redis://127.0.0.1:{server.getsockname()[1]}/0?protocol=2&lib_name=&lib_version=", read_seconds=0.3)
    lines = Lines(slow)
    with pytest.raises((redis.TimeoutError, redis.ConnectionError)):
        lines.exchange([("PING",)])
    assert all(line._sock is None for line in lines._resting)
    lines.close()
    server.close()
    for one in accepted:
        one.close()


def test_threads_have_a_connection_each(lines, client):
    failed = []

    def work() -> None:
        try:
            for _ in range(50):
                lines.exchange([("INCR", "n"), ("PUBLISH", "a", "b")])
        except redis.RedisError as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, client.get("n")) == ([], "400")
