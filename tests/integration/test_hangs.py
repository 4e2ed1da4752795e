"""A PostgreSQL that is stopped, and not gone: its host still acknowledges every packet."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager

import pytest
from factories import eventually

from faas.db.database import Database
from faas.db.overdue import Overdue
from faas.errors import DatabaseDown


@pytest.fixture
def impatient(database_url):
    opened = Database(database_url, connections=2, overdue=Overdue(3.0))
    yield opened
    opened.close()


@contextmanager
def stopped(pid: int):
    """The server's process of a connection, stopped. (The tests' server runs under this account, or this one is root.)"""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def backend(database) -> int:
    with database.autocommit() as tx:
        return tx.one("SELECT pg_backend_pid() AS pid").pid


def asked_in_a_thread(database) -> list[Exception | None]:
    """What came of a statement, when something did."""
    came: list[Exception | None] = []

    def ask():
        try:
            with database.autocommit() as tx:
                tx.one("SELECT 1")
        except DatabaseDown as error:
            came.append(error)
        else:
            came.append(None)

    threading.Thread(target=ask, daemon=True).start()
    return came


def test_a_statement_does_not_wait_for_ever_and_the_next_has_another_connection(impatient):
    pid = backend(impatient)
    with stopped(pid):
        came = asked_in_a_thread(impatient)
        eventually(lambda: came)
        # One that had rested was asked whether it lives, and another was made; one that was in use gave an error.
        assert came[0] is None or isinstance(came[0], DatabaseDown)
        impatient.ping()
        assert backend(impatient) != pid


def test_a_transaction_that_hangs_ends_as_the_database_being_down(impatient):
    failed = []

    def work():
        try:
            with impatient.begin() as tx:
                pid.append(tx.one("SELECT pg_backend_pid() AS pid").pid)
                begun.set()
                assert go.wait(60)
                tx.one("SELECT 1")
        except DatabaseDown as error:
            failed.append(error)

    pid, begun, go = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(60)
    with stopped(pid[0]):
        go.set()
        thread.join(60)
        assert not thread.is_alive()
    assert len(failed) == 1
    impatient.ping()


def test_a_connection_that_is_given_back_in_time_is_kept(impatient):
    pid = backend(impatient)
    threading.Event().wait(4.0)
    assert backend(impatient) == pid
