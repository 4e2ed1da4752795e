"""Following a log: what is heard, what is lost on the way, and the end."""

from __future__ import annotations

import threading

import pytest
from factories import claimed, eventually, function, invocation, succeeded

from faas.domain import ids
from faas.domain.log import Excerpt, Piece, Position
from faas.errors import NotFound
from faas.queueing import names
from faas.queueing.follow import read_ask, write_excerpt
from faas.queueing.publisher import connect
from faas.results.endings import Endings
from faas.services import following

BEGINNING = Position()


def excerpt(attempt, offset, text, *, closed=False):
    return Excerpt(Position(attempt, offset), (Piece("stdout", 1.0, text),) if text else (), closed)


class Teller:
    """Says by hand what a worker would."""

    def __init__(self, client):
        self.client = client
        self.channel = client.pubsub(ignore_subscribe_messages=True)
        self.channel.subscribe(names.FOLLOW)
        eventually(lambda: client.pubsub_numsub(names.FOLLOW)[0][1] == 1)

    def asked(self):
        """The next position that somebody asked for; asks without one are passed over."""

        def heard():
            message = self.channel.get_message(timeout=1)
            return message and read_ask(message["data"])

        while (ask := eventually(heard)).position is None:
            pass
        return ask.position

    def tell(self, invocation_id, *excerpts):
        for one in excerpts:
            self.client.publish(names.LOG + invocation_id, write_excerpt(one))


@pytest.fixture
def teller(redis_url):
    client = connect(redis_url)
    teller = Teller(client)
    yield teller
    teller.channel.close()
    client.close()


@pytest.fixture
def follow(services):
    """Begins to follow; gives (the excerpts that came, a wait for the end)."""
    threads = []

    def begin(invocation_id, position=BEGINNING):
        came = []

        def run():
            came.extend(one for one in services.invocations.live(invocation_id, position) if one is not None)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)

        def end():
            thread.join(60)
            assert not thread.is_alive()
            return [(one.start, b"".join(piece.data for piece in one.pieces)) for one in came]

        return end

    yield begin
    for thread in threads:
        thread.join(60)


@pytest.fixture
def claim(database, redis_url):
    return claimed(database, function(database).id)


@pytest.fixture
def finish(database, publisher):
    endings = Endings(database, publisher, platform_retries=1)
    yield lambda claim: endings.end(claim, succeeded())
    endings.close()


def test_what_is_said_is_heard_until_the_end(teller, follow, finish, claim):
    end = follow(claim.invocation_id)
    assert teller.asked() == Position()
    teller.tell(claim.invocation_id, excerpt(1, 0, b"one"), excerpt(1, 3, b"two"), excerpt(1, 6, b"", closed=True))
    finish(claim)
    assert end() == [(Position(1, 0), b"one"), (Position(1, 3), b"two")]


def test_what_comes_twice_is_heard_once_and_a_gap_is_asked_for(teller, follow, finish, claim):
    end = follow(claim.invocation_id)
    teller.asked()
    teller.tell(claim.invocation_id, excerpt(1, 0, b"one"), excerpt(1, 0, b"onetwo"), excerpt(1, 9, b"lost"))
    while teller.asked() != Position(1, 6):
        pass
    teller.tell(claim.invocation_id, excerpt(1, 3, b"two!!!four"))
    finish(claim)
    assert end() == [(Position(1, 0), b"one"), (Position(1, 3), b"two"), (Position(1, 6), b"!!!four")]


def test_a_later_attempt_begins_at_its_start_and_an_earlier_one_is_over(teller, follow, finish, claim):
    end = follow(claim.invocation_id, Position(1, 5))
    assert teller.asked() == Position(1, 5)
    teller.tell(claim.invocation_id, excerpt(1, 0, b"01234five"), excerpt(2, 0, b"new"), excerpt(1, 9, b"late"))
    finish(claim)
    assert end() == [(Position(1, 5), b"five"), (Position(2, 0), b"new")]


def test_a_feed_that_was_cut_off_asks_again_from_where_it_was(teller, follow, finish, claim):
    end = follow(claim.invocation_id)
    teller.asked()
    teller.tell(claim.invocation_id, excerpt(1, 0, b"one"))
    while teller.asked() != Position(1, 3):
        pass
    teller.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    teller.channel.close()
    again = Teller(teller.client)
    assert again.asked() == Position(1, 3)
    again.channel.close()
    again.tell(claim.invocation_id, excerpt(1, 3, b"two"))
    finish(claim)
    assert b"".join(text for _, text in end()) == b"onetwo"


def test_last_words_that_come_after_the_end_are_heard(teller, follow, finish, claim, monkeypatch):
    monkeypatch.setattr(following, "_LINGER_SECONDS", 60.0)
    end = follow(claim.invocation_id)
    teller.asked()
    teller.tell(claim.invocation_id, excerpt(1, 0, b"one"))
    while teller.asked() != Position(1, 3):
        pass
    finish(claim)
    teller.tell(claim.invocation_id, excerpt(1, 3, b"two"), excerpt(1, 6, b"", closed=True))
    assert b"".join(text for _, text in end()) == b"onetwo"


def test_one_that_has_ended_is_over_at_once(services, finish, claim):
    finish(claim)
    assert list(services.invocations.live(claim.invocation_id, Position())) == []


def test_a_queued_one_that_is_cancelled_is_over(services, database, teller, follow):
    one = invocation(database, function(database).id)
    end = follow(one.id)
    teller.asked()
    services.invocations.cancel(one.id)
    assert end() == []


def test_what_is_not_there_can_not_be_followed(services):
    with pytest.raises(NotFound):
        next(services.invocations.live(ids.uuid7(), Position()))
