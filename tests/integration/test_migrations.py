"""Migrations up and down, from empty and on data, and that they make the very tables of the code."""

from __future__ import annotations

import subprocess
import sys
import threading

import flask_migrate
import psycopg2
import pytest
from factories import accept, claimed, eventually, function, invocation, run_sql, succeeded

from faas.db import invocations, platform
from faas.db.database import Database
from faas.db.tables import metadata
from faas.domain.invocation import Status
from faas.errors import DatabaseDown
from faas.results.endings import Endings
from faas.web import migrate

OF_THE_PLATFORM = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' AND relname <> 'alembic_version_pkc'"
FUNCTIONS = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"

UPGRADE = "import sys; from faas.web import migrate; migrate.upgrade(sys.argv[1])"


def count(url: str, sql: str) -> int:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def test_down_to_nothing_and_up_again(fresh_database_url):
    there = count(fresh_database_url, OF_THE_PLATFORM)
    assert there > len(metadata.tables)
    migrate.downgrade(fresh_database_url, "base")
    assert count(fresh_database_url, OF_THE_PLATFORM) == 0
    assert count(fresh_database_url, FUNCTIONS) == 0
    migrate.upgrade(fresh_database_url)
    assert count(fresh_database_url, OF_THE_PLATFORM) == there


def test_down_and_up_on_data_keeps_what_the_tables_hold(fresh_database_url, publisher):
    database = Database(fresh_database_url)
    made = function(database, max_concurrency=1)
    endings = Endings(database, publisher, platform_retries=0)
    endings.end(claimed(database, made.id), succeeded(1))
    accept(database, made.id, key="k", fingerprint=b"f")
    invocation(database, made.id)
    database.close()
    migrate.downgrade(fresh_database_url, "0001")
    assert count(fresh_database_url, FUNCTIONS) == 0
    assert count(fresh_database_url, "SELECT count(*) FROM invocations") == 3
    migrate.upgrade(fresh_database_url)
    assert accept(database, made.id, key="k", fingerprint=b"f").verdict == "replayed"
    assert len(invocations.find(database, function_id=made.id, status=Status.QUEUED, limit=9, cursor=None).items) == 2
    database.close()
    migrate.downgrade(fresh_database_url, "base")
    assert count(fresh_database_url, OF_THE_PLATFORM) == 0
    migrate.upgrade(fresh_database_url)
    assert count(fresh_database_url, "SELECT count(*) FROM invocations") == 0


def test_the_migrations_make_what_the_code_says(fresh_database_url):
    with migrate.migration_app(fresh_database_url).app_context():
        # Fails with the difference where there is one.
        flask_migrate.check()


def test_a_difference_would_be_noticed(fresh_database_url):
    connection = psycopg2.connect(fresh_database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE workers ADD COLUMN strange integer")
    connection.close()
    with migrate.migration_app(fresh_database_url).app_context(), pytest.raises(SystemExit):
        flask_migrate.check()


def test_two_deploys_at_once_migrate_once(fresh_database_url):
    migrate.downgrade(fresh_database_url, "base")
    command = [sys.executable, "-c", UPGRADE, fresh_database_url]
    deploys = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait(120) for one in deploys] == [0, 0]
    assert count(fresh_database_url, "SELECT count(*) FROM platform") == 1


def test_an_index_of_the_ends_is_made_beside_those_who_write(fresh_database_url):
    database = Database(fresh_database_url)
    first, second = (invocation(database, function(database).id) for _ in range(2))
    migrate.downgrade(fresh_database_url, "0010")
    upgrading = threading.Thread(target=migrate.upgrade, args=(fresh_database_url,))
    write = "UPDATE invocations SET worker_id = 'w' WHERE id = %s"
    waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%%' AND wait_event_type = 'Lock' AND datname = current_database()"
    with database.begin() as tx:
        tx.run(write, (first.id,))
        upgrading.start()
        with database.autocommit() as other:
            eventually(lambda: other.one(waiting))
        # Behind an index that is made in the ordinary way this would wait, for the time that `Database` allows.
        run_sql(database, write, second.id)
    upgrading.join(120)
    assert not upgrading.is_alive()
    parts = """FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid AND indisvalid WHERE inhparent = 'invocations_ended'::regclass"""
    months = "FROM pg_partition_tree('invocations') WHERE isleaf"
    assert count(fresh_database_url, f"SELECT count(*) {parts}") == count(
        fresh_database_url, f"SELECT count(*) {months}"
    )
    database.close()


def test_a_deploy_that_comes_while_another_makes_an_index_beside_writers_holds_it_up_no_longer_than_they_do(
    fresh_database_url,
):
    database = Database(fresh_database_url)
    first = invocation(database, function(database).id)
    migrate.downgrade(fresh_database_url, "0010")
    upgrading = threading.Thread(target=migrate.upgrade, args=(fresh_database_url,), daemon=True)
    making = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%%' AND wait_event_type = 'Lock' AND datname = current_database()"
    asking = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%advisory%%' AND pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
    command = [sys.executable, "-c", UPGRADE, fresh_database_url]
    with database.begin() as tx:
        tx.run("UPDATE invocations SET worker_id = 'w' WHERE id = %s", (first.id,))
        upgrading.start()
        with database.autocommit() as other:
            eventually(lambda: other.one(making))
            late = subprocess.Popen(command)
            eventually(lambda: other.one(asking))
    try:
        assert late.wait(120) == 0
        upgrading.join(120)
        assert not upgrading.is_alive()
    finally:
        late.kill()
        late.wait()
    database.close()


def test_a_database_without_tables_is_named_so(fresh_database_url):
    migrate.downgrade(fresh_database_url, "base")
    database = Database(fresh_database_url)
    with pytest.raises(DatabaseDown, match="migrations"):
        platform.get_id(database)
    migrate.upgrade(fresh_database_url)
    assert len(platform.get_id(database)) == 36
    database.close()


def test_invocations_lie_in_the_partition_of_their_month(database):
    one = invocation(database, function(database).id)
    with database.autocommit() as tx:
        row = tx.one("SELECT tableoid::regclass::text AS name FROM invocations WHERE id = %s", (one.id,))
        assert row.name == tx.one("SELECT to_char(now() AT TIME ZONE 'UTC', '\"invocations_\"YYYY_MM') AS name").name
