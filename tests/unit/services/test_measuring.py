"""Measuring for whoever scrapes."""

from __future__ import annotations

import threading
import time

from factories import eventually, function

from faas.db.database import Database
from faas.embedded.ports import free_port
from faas.services.measuring import Kept, Measuring


def test_it_is_measured_at_most_once_a_second_and_is_not_stale_for_long(services, database):
    assert services.measuring.platform().functions == {}
    function(database)
    began = time.monotonic()
    soon = services.measuring.platform()
    if time.monotonic() - began < 0.5:
        assert soon.functions == {}
    eventually(lambda: services.measuring.platform().functions == {"active": 1})


def test_what_is_away_is_none():
    database = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/faas")
    measuring = Measuring(database, 10.0)
    assert (measuring.database_up(), measuring.platform(), measuring.totals()) == (False, None, None)
    database.close()


def test_what_hangs_is_waited_for_by_many_and_not_for_long_and_looked_for_once():
    go_on, looked = threading.Event(), []

    def find():
        looked.append(1)
        go_on.wait(60)
        return 7

    kept = Kept(find, 0.1)
    assert kept.get() is None
    assert kept.get() is None
    assert looked == [1]
    go_on.set()
    assert eventually(kept.get) == 7


def test_what_failed_is_looked_for_again():
    answers = [None, 7]

    def find():
        if answers.pop(0) is None:
            raise ValueError("a fault of the platform")
        return 7

    kept = Kept(find)
    assert kept.get() is None
    assert eventually(kept.get) == 7
