"""The plans of the hot queries on a million invocations: each comes by an index, none reads a month from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from faas.db import (
    batches,
    functions,
    histories,
    invocations,
    measures,
    partitions,
    replays,
    retention,
    rollup,
    stats,
    upkeep,
    workers,
)
from faas.db.database import Database, Transaction
from faas.domain import ids
from faas.domain.invocation import Status
from faas.domain.namespace import DEFAULT
from faas.domain.stats import Window

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROWS = 1_000_000
FUNCTIONS = 200

_FILL = f"""
    CREATE FUNCTION id_at(moment timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
        SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
    $$;
    INSERT INTO functions (id, name, revision, created_at, updated_at)
        SELECT id_at(now(), -n), 'f' || n, 1, now(), now() FROM generate_series(1, {FUNCTIONS}) n;
    INSERT INTO function_revisions (function_id, number, version, runtime, handler, timeout_ms, memory_mb, cpus, max_concurrency, network,
            retry_max_attempts, retry_backoff_ms, retry_max_backoff_ms, environment, metadata, code_digest, code_size, artifact_digest, state, created_at)
        SELECT id, 1, '', 'python', 'main.handler', 1000, 128, 1, 10, 'none', 1, 1, 1, '{{}}', '{{}}', 'd', 1, 'd', 'active', now() FROM functions;
    INSERT INTO slots (function_id, capacity, used) SELECT id, 10, CASE WHEN name = 'f1' THEN 10 ELSE 1 END FROM functions;
    INSERT INTO workers (id, name, engine, started_at, beat_at) SELECT 'w' || n, 'w', 'simple', now(), now() FROM generate_series(1, 20) n;
    -- All but the last thousands have ended. Of these, function 1 has ten admitted and thousands that wait; the others run a little.
    INSERT INTO invocations (id, function_id, function_name, revision, status, max_attempts, timeout_ms, created_at, due_at, admitted_at, published_at,
            worker_id, payload, headers)
        SELECT id_at(moment, n), ids.known[f], 'f' || f, 1, status, 1, 1000, moment, moment,
            CASE WHEN waits THEN NULL ELSE moment END, CASE WHEN waits THEN NULL ELSE moment END, CASE WHEN status = 'queued' THEN NULL ELSE 'w' || n % 20 + 1 END, 'null', '{{}}'
        FROM (
            SELECT n, now() - ({ROWS} - n) * interval '40 milliseconds' AS moment,
                CASE WHEN n > {ROWS} - 5000 AND n % 25 > 0 THEN 1 ELSE (n * 7919 % {FUNCTIONS})::integer + 1 END AS f,
                CASE WHEN n <= {ROWS} - 5000 THEN (ARRAY['succeeded', 'succeeded', 'succeeded', 'failed', 'timed_out', 'cancelled'])[n % 6 + 1]
                     WHEN n % 25 = 0 THEN 'running' ELSE 'queued' END AS status,
                n > {ROWS} - 4990 AND n % 25 > 0 AS waits
            FROM generate_series(1::bigint, {ROWS}) n) rows, (SELECT array_agg(id ORDER BY substr(name, 2)::integer) AS known FROM functions) ids;
    """


def run(url: str, *statements: str) -> None:
    """Each in a transaction of its own."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def million(servers: tuple[str, str]) -> Iterator[str]:
    """URL of a database with a million invocations."""
    postgres = servers[0].rpartition("/")[0] + "/postgres"
    run(postgres, "CREATE DATABASE million TEMPLATE faas")
    url = servers[0].rpartition("/")[0] + "/million"
    database = Database(url, connections=1)
    # A month that began an hour ago has its rows in the one before.
    partitions.ensure_months(database, datetime.fromtimestamp(datetime.now(UTC).timestamp() - ROWS * 0.04, UTC), 0)
    database.close()
    run(url, _FILL, "ANALYZE")
    yield url
    run(postgres, "DROP DATABASE million WITH (FORCE)")


@pytest.fixture
def plans(million: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, list[Any]]]:
    """The database, and the plans of all that was asked through it."""
    seen: list[Any] = []
    execute = Transaction._execute

    def spied(self: Any, sql: str, parameters: Any) -> Any:
        if not sql.lstrip().startswith(("EXPLAIN", "COMMIT")):
            seen.append(execute(self, "EXPLAIN (FORMAT JSON) " + sql, parameters).fetchone()[0][0]["Plan"])
        return execute(self, sql, parameters)

    monkeypatch.setattr(Transaction, "_execute", spied)
    opened = Database(million, connections=2)
    yield opened, seen
    opened.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def check(plan: dict[str, Any]) -> None:
    """No sequential scan of a partition of invocations that has many rows, and no index read for more than a small part of them."""
    scans = [node for node in nodes(plan) if node.get("Relation Name", "").startswith("invocations")]
    assert scans, json.dumps(plan, indent=1)
    for node in scans:
        if node["Node Type"] == "Seq Scan":
            # The partitions of the coming months are empty.
            assert node["Total Cost"] < 20, json.dumps(plan, indent=1)


def checked(plans: list[Any]) -> None:
    assert plans
    for plan in plans:
        if any(node.get("Relation Name", "").startswith("invocations") for node in nodes(plan)):
            check(plan)
    # What is asked for a page or a portion never costs what a month does.
    assert max(plan["Total Cost"] for plan in plans) < 12_000, json.dumps(plans, indent=1)


def an_id(database: Database, where: str) -> Any:
    with database.autocommit() as tx:
        return tx.one(f"SELECT id, function_id FROM invocations WHERE {where} LIMIT 1")


def test_the_million_is_there(million):
    database = Database(million, connections=1)
    with database.autocommit() as tx:
        assert tx.one("SELECT count(*) FROM invocations")[0] == ROWS
        assert tx.one("SELECT count(*) FROM invocations WHERE status = 'running'")[0] == 200
    database.close()


def test_one_record(plans):
    database, seen = plans
    row = an_id(database, "true")
    seen.clear()
    invocations.get(database, str(row.id))
    invocations.status(database, str(row.id))
    checked(seen)
    assert max(plan["Total Cost"] for plan in seen) < 100


@pytest.mark.parametrize("by_function", [False, True])
@pytest.mark.parametrize("status", [None, Status.SUCCEEDED, Status.RUNNING, Status.TIMED_OUT])
@pytest.mark.parametrize("later", [False, True])
def test_pages(plans, by_function, status, later):
    database, seen = plans
    function_id = str(an_id(database, "status = 'running'").function_id) if by_function else None
    seen.clear()
    page = invocations.find(database, function_id=function_id, status=status, limit=50, cursor=None)
    if later and page.next_cursor:
        seen.clear()
        page = invocations.find(database, function_id=function_id, status=status, limit=50, cursor=page.next_cursor)
        assert page.items
    checked(seen)


@pytest.mark.parametrize("namespace", ["default", "small"])
@pytest.mark.parametrize("later", [False, True])
def test_pages_of_a_namespace(plans, million, namespace, later):
    run(million, "UPDATE functions SET namespace = 'small' WHERE name IN ('f7', 'f8')", "ANALYZE functions")
    database, seen = plans
    page = invocations.find(database, function_id=None, status=None, limit=50, cursor=None, namespace=namespace)
    if later:
        seen.clear()
        page = invocations.find(
            database, function_id=None, status=None, limit=50, cursor=page.next_cursor, namespace=namespace
        )
    assert {one.function_name in ("f7", "f8") for one in page.items} == {namespace == "small"}
    assert page.next_cursor
    # The newest of each function, by its index: dearer with every function (6 ms with 200), and never what a month costs.
    for plan in seen:
        check(plan)
    if namespace == "small":
        checked(seen)
    run(million, "UPDATE functions SET namespace = 'default'", "ANALYZE functions")


def test_upkeep(plans):
    database, seen = plans
    seen.clear()
    free = upkeep.waiting_functions(database, 500)
    assert free == []
    upkeep.unheard(database, upkeep.clock(database), 500)
    assert len(workers.orphans(database, 500)) == 0
    assert 0 < len(workers.claimed(database, "w1")) < 200
    upkeep.deleted_with_queue(database, 500)
    assert upkeep.expired_functions(database, 500) == []
    checked(seen)


def test_measuring(plans):
    database, seen = plans
    seen.clear()
    taken = measures.take(database, 10.0)
    assert (taken.invocations["running"], taken.functions["active"]) == (200, FUNCTIONS)
    checked(seen)


def test_a_batch_and_a_history(plans):
    database, seen = plans
    row = an_id(database, "status = 'queued' AND admitted_at IS NULL")
    seen.clear()
    assert (
        invocations.find(database, function_id=None, status=None, limit=50, cursor=None, batch_id=ids.uuid7()).items
        == []
    )
    assert batches.counts(database, ids.uuid7())[Status.QUEUED] == 0
    assert batches.members(database, str(row.id)) == (None, [])
    assert histories.get(database, str(row.id)).waiting.reason == "concurrency"
    checked(seen)


def test_cancelling_the_queue_of_a_deleted_function(plans):
    database, seen = plans
    seen.clear()
    assert invocations.cancel_queued_of(database, ids.uuid7(), 500) == []
    checked(seen)


@pytest.mark.parametrize("function", [None, ids.uuid7()], ids=["all", "one"])
def test_running_many_again(plans, function):
    database, seen = plans
    seen.clear()
    wanted = replays.Filter(Status.FAILED, function, before=datetime(2025, 1, 1, tzinfo=UTC))
    assert replays.run_many(database, wanted, ids.uuid7(), [ids.uuid7() for _ in range(1000)], pinned=True) == ([], [])
    checked(seen)


def test_forgetting(plans):
    database, seen = plans
    seen.clear()
    assert retention.old_months(database, datetime(2025, 1, 1, tzinfo=UTC)) == []
    assert retention.remove(database, datetime(2025, 1, 1, tzinfo=UTC), 500) == 0
    assert retention.remove_attempts(database, datetime(2025, 1, 1, tzinfo=UTC), 500) == 0
    checked(seen)


WAITING = """SELECT id FROM invocations WHERE function_id = $1 AND status = 'queued' AND admitted_at IS NULL AND due_at <= $2
    AND (expires_at IS NULL OR attempts > 0 OR expires_at > $2) ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED"""
ENDING = "UPDATE invocations SET finished_at = now() WHERE id = $1"
ADMITTING = "UPDATE invocations SET admitted_at = $2 WHERE id = ANY ($1)"
CLAIMABLE = """i.id {which} AND EXISTS (SELECT 1 FROM workers w WHERE w.id = 'w1') AND CASE WHEN i.status = 'queued' AND i.admitted_at IS NOT NULL
    THEN i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > now() END FOR UPDATE OF i SKIP LOCKED"""
CLAIMING_ONE = "SELECT 1 FROM invocations i WHERE " + CLAIMABLE.format(which="= $1")
CLAIMING = f"""WITH picked AS MATERIALIZED (SELECT i.id FROM invocations i WHERE {CLAIMABLE.format(which="= ANY ($1)")})
    UPDATE invocations i SET worker_id = 'w' FROM picked WHERE i.id = ANY (ARRAY[picked.id]) RETURNING i.id"""
ENDING_MANY = """UPDATE invocations i SET finished_at = now() FROM unnest($1, $2) v (id, attempt)
    WHERE i.id = ANY (ARRAY[v.id]) AND CASE WHEN i.attempts = v.attempt THEN i.status = 'running' END"""
EXPIRING = """SELECT id FROM invocations WHERE status = 'queued' AND attempts = 0 AND expires_at <= $2 AND function_id = $1
    ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED"""
FENCE = "SELECT started_at FROM invocations WHERE id = $1 AND attempts = $2 AND status = 'running' FOR UPDATE"


@pytest.mark.parametrize(
    ("within", "types", "statement", "values"),
    [
        ("faas_admit", "uuid, timestamptz, integer", WAITING, "'{f1}', now(), 3"),
        ("faas_finish", "uuid", ENDING, "gen_random_uuid()"),
        ("faas_admit", "uuid[], timestamptz", ADMITTING, "ARRAY[gen_random_uuid()], now()"),
        ("faas_claim", "uuid", CLAIMING_ONE, "gen_random_uuid()"),
        ("faas_claim", "uuid[]", CLAIMING, "ARRAY[gen_random_uuid()]"),
        ("faas_finish_many", "uuid[], integer[]", ENDING_MANY, "ARRAY[gen_random_uuid()], ARRAY[1]"),
        ("faas_finish", "uuid, integer", FENCE, "gen_random_uuid(), 1"),
        ("faas_expire", "uuid, timestamptz, integer", EXPIRING, "gen_random_uuid(), now(), 500"),
    ],
    ids=["waiting", "ending", "admitting", "claiming-one", "claiming", "ending-many", "fence", "expiring"],
)
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_the_statements_inside_the_databases_functions(million, within, types, statement, values, mode):
    # PL/pgSQL keeps prepared statements, and after five uses it may take a plan that fits every value.
    source = (Path(__file__).resolve().parents[2] / "migrations/sql/0003_scheduling.sql").read_text()
    assert "ORDER BY due_at, id LIMIT v_free FOR UPDATE SKIP LOCKED" in source
    connection = psycopg2.connect(million)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT unnest(proconfig) FROM pg_proc WHERE proname = %s", (within,))
            for (setting,) in cursor.fetchall():
                cursor.execute(f"SET LOCAL {setting}")
            cursor.execute("SELECT id FROM functions WHERE name = 'f1'")
            values = values.format(f1=cursor.fetchone()[0])
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            cursor.execute(f"PREPARE hot ({types}) AS {statement}")
            cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE hot ({values})")
            plan = cursor.fetchone()[0][0]["Plan"]
    finally:
        connection.close()
    check(plan)
    if statement in (CLAIMING_ONE, CLAIMING, ENDING_MANY):
        # Never by the indexes of what is admitted or runs: they hold all that went through them since the last vacuum.
        used = [node["Index Name"] for node in nodes(plan) if "invocations" in node.get("Index Name", "")]
        assert used
        assert not [name for name in used if "published_at" in name or "worker_id" in name], json.dumps(plan, indent=1)
    if statement == WAITING:
        # In the order of the index: sorting thousands of waiting ones would be done under the lock, for each that is admitted.
        assert "function_id_due_at_id" in json.dumps(plan)
        assert not [node for node in nodes(plan) if "Sort" in node["Node Type"]], json.dumps(plan, indent=1)


def test_functions_by_name_and_page(plans):
    database, seen = plans
    seen.clear()
    functions.get(database, "f7")
    functions.find(database, name=None, limit=50, cursor=None)
    assert max(plan["Total Cost"] for plan in seen) < 500


def test_the_bound_on_the_queue_and_what_waits_for_a_build_that_is_over(plans):
    database, seen = plans
    assert upkeep.queued(database, 10_000) == 4800
    assert upkeep.queued(database, 100) == 110
    assert upkeep.let_go(database, "Function.InitError", 500) == (0, [])
    checked(seen)


def test_what_has_ended_since_the_last_time_and_what_a_function_has_in_hand(plans):
    database, seen = plans
    with database.begin() as tx:
        tx.run(
            "UPDATE invocations SET finished_at = created_at WHERE id IN (SELECT id FROM invocations WHERE status = 'failed' ORDER BY id DESC LIMIT 2000)"
        )
        tx.run("UPDATE platform SET stats_until = clock_timestamp() - interval '10 minutes'")
    seen.clear()
    while rollup.roll(database, 100):
        pass
    assert sum(one.tally.failed for one in stats.totals(database).functions) > 500
    checked(seen)
    seen.clear()
    found = {window: stats.read(database, DEFAULT, window, limit=50).functions for window in Window}
    assert found[Window.HOUR]
    assert found[Window.DAY]
    assert max(plan["Total Cost"] for plan in seen) < 2_000
