"""Who may still scrape while PostgreSQL is away."""

from __future__ import annotations

import time

import pytest

from faas.db.database import Database
from faas.domain.access import Scope
from faas.embedded.postgres import prepare
from faas.embedded.process import Child
from faas.errors import DatabaseDown, Unauthorized
from faas.services import access
from faas.services.access import Access
from faas.web import migrate

START_SECONDS = 90.0


@pytest.fixture
def own(tmp_path):
    """A database in a PostgreSQL of the test's own, and its process."""
    server = prepare(tmp_path / "postgres", tmp_path / "postgres.log")
    child = Child(server.program)
    child.wait_ready(START_SECONDS)
    migrate.upgrade(server.url)
    database = Database(server.url, connections=2)
    yield database, child
    database.close()
    child.stop()


def test_what_was_good_a_while_ago_is_good_for_those_who_may_be_late_and_for_nobody_else(own, monkeypatch):
    monkeypatch.setattr(access, "REMEMBERED_S", 0.0)
    database, child = own
    opened, closed = Access(database, may_be_open=True), Access(database, may_be_open=False)
    assert opened.caller(None).key_id is None
    _, key = closed.create("k", [Scope.ADMIN])
    made = closed.caller(key).key_id
    child.kill()
    assert opened.caller(None, late_s=60.0).key_id is None
    assert closed.caller(key, late_s=60.0).key_id == made
    for one, text in ((opened, None), (closed, key)):
        with pytest.raises(DatabaseDown):
            one.caller(text)
    with pytest.raises(Unauthorized):
        closed.caller(None, late_s=60.0)
    with pytest.raises(DatabaseDown):
        # As on a host that has been up for less than this.
        Access(database, may_be_open=True).caller(None, late_s=time.monotonic() + 60.0)
    with pytest.raises(Unauthorized):
        closed.caller(key[:-1] + ("a" if key[-1] != "a" else "b"), late_s=60.0)
