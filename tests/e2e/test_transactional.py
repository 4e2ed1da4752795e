"""Invocations that belong to an application's transaction, on a running platform."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from e2e.cluster import WITH_ONE_ENGINE, Cluster
from faas.client.transactional import enqueue

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]


def test_what_is_committed_runs_and_what_is_rolled_back_never_was(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=2)
    engine = create_engine(cluster.database_url.replace("postgresql:", "postgresql+psycopg2:"))
    try:
        with Session(engine) as session:
            session.execute(text("CREATE TABLE orders (id integer PRIMARY KEY)"))
            session.execute(text("INSERT INTO orders VALUES (1)"))
            kept = [enqueue(session, function, {"token": n}) for n in range(3)]
            told = enqueue(session, function, {"token": 3}, redis_url=cluster.redis_url)
            # The transaction is open, and the function's other calls go on.
            assert cluster.invoke(function)["status"] == "succeeded"
            assert cluster.call("GET", f"/invocations/{kept[0]}").status_code == 404
            session.commit()
            with pytest.raises(ZeroDivisionError), session.begin():
                dropped = enqueue(session, function)
                raise ZeroDivisionError
        records = cluster.wait_all([*kept, told])
        assert [(one["status"], one["result"]["token"]) for one in records] == [("succeeded", n) for n in range(4)]
        assert cluster.call("GET", f"/invocations/{dropped}").status_code == 404
        assert cluster.sql("SELECT count(*) FROM invocations WHERE function_id = %s", function) == [(5,)]
    finally:
        engine.dispose()
        cluster.sql("DROP TABLE IF EXISTS orders")
