"""Measuring for whoever scrapes."""

from __future__ import annotations

import time

from factories import eventually, function, invocation

from faas.db.database import Database
from faas.embedded.ports import free_port
from faas.queueing.publisher import Publisher
from faas.services.measuring import Measuring


def test_it_is_measured_at_most_once_a_second_and_is_not_stale_for_long(services, database):
    assert services.measuring.platform().functions == {}
    function(database)
    began = time.monotonic()
    soon = services.measuring.platform()
    if time.monotonic() - began < 0.5:
        assert soon.functions == {}
    eventually(lambda: services.measuring.platform().functions == {"active": 1})


def test_the_broker_s_backlog_is_counted(services, database, publisher):
    publisher.invocations([invocation(database, function(database).id).id])
    assert services.measuring.backlog() == 1


def test_what_is_away_is_none():
    database = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/faas")
    publisher = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    measuring = Measuring(database, publisher, 10.0)
    assert measuring.platform() is None
    assert measuring.backlog() is None
    publisher.close()
    database.close()
