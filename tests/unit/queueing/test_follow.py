"""Asking for a log, and hearing it, over a real Redis."""

from __future__ import annotations

import pytest
from factories import eventually

from faas.domain import ids
from faas.domain.log import Excerpt, Piece, Position
from faas.embedded.ports import free_port
from faas.errors import BrokerDown
from faas.queueing import names
from faas.queueing.follow import Ask, Feed, read_ask, read_excerpt, write_excerpt

EXCERPT = Excerpt(
    Position(3, 17), (Piece("stdout", 1.25, bytes(range(256))), Piece(None, 2.5, "☂\u2028".encode())), closed=True
)


def test_an_excerpt_of_any_bytes_comes_through_whole(client, redis_url):
    with Feed(redis_url, id_ := ids.uuid7()) as feed:
        assert feed.open()
        assert not feed.open()
        client.publish(names.LOG + id_, write_excerpt(EXCERPT))
        client.publish(names.LOG + ids.uuid7(), write_excerpt(EXCERPT))
        assert feed.next(30) == EXCERPT
        assert feed.next(0.05) is None


def test_what_is_asked_is_heard(client, redis_url):
    id_ = ids.uuid7()
    with client.pubsub(ignore_subscribe_messages=True) as channel, Feed(redis_url, id_) as feed:
        channel.subscribe(names.FOLLOW)
        eventually(lambda: client.pubsub_numsub(names.FOLLOW)[0][1] == 1)
        feed.open()
        feed.ask(None)
        feed.ask(Position(1, 5))
        heard = []
        eventually(lambda: heard.append(channel.get_message(timeout=1)) or len([m for m in heard if m]) == 2)
    assert [read_ask(m["data"]) for m in heard if m] == [Ask(id_, None), Ask(id_, Position(1, 5))]


def test_a_feed_that_was_cut_off_comes_back(client, redis_url):
    with Feed(redis_url, id_ := ids.uuid7()) as feed:
        feed.open()
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

        def heard():
            client.publish(names.LOG + id_, write_excerpt(EXCERPT))
            try:
                feed.open()
                return feed.next(0.2)
            except BrokerDown:
                return None

        assert eventually(heard) == EXCERPT


def test_a_redis_that_is_away_is_told():
    with Feed(f"redis://127.0.0.1:{free_port()}/0", ids.uuid7()) as feed, pytest.raises(BrokerDown):
        feed.open()


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "[1, null]", '["x", null]', '["x", [1]]', "{}", "3", "[[], []]"]
)
def test_what_is_no_message_of_ours_is_passed_over(text):
    assert read_ask(text) is None
    assert read_excerpt(text) is None


def test_an_excerpt_with_nonsense_in_it_is_passed_over():
    assert read_excerpt('[1, 0, [["stdout", 1.0, 5]], false]') is None
    assert read_excerpt('[1, 0, [["stdout", 1.0, "\u2602"]], false]') is None
    assert read_ask(f'["{ids.uuid7()}", [1]]') is None
