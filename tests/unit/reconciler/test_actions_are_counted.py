"""What the reconciler does is counted, and what it could not do."""

from __future__ import annotations

import json

from factories import function, invocation, run_sql

from faas.embedded.ports import free_port
from faas.queueing.publisher import Publisher
from faas.reconciler.loop import Reconciler
from faas.results.endings import Endings


def counted(database, name):
    """What was counted in a metric since this was last asked, by label."""
    fields = [(json.loads(field), number) for field, number in database.counts.take().items()]
    return {labels[0]: number for (found, *labels), number in fields if found == name}


def test_actions_are_counted_by_kind(database, reconciler, client):
    made = function(database, max_concurrency=10)
    for _ in range(3):
        invocation(database, made.id)
    reconciler.publish_again()
    run_sql(database, "UPDATE slots SET used = 7")
    reconciler.mend_slots()
    assert counted(database, "faas_reconciler_actions") == {"published_again": 3, "slots_mended": 1}


def test_what_fails_is_counted_by_cause(database):
    away = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    endings = Endings(database, away, platform_retries=0)
    Reconciler(database, away, endings, lease_s=10.0).round()
    assert counted(database, "faas_reconciler_failures") == {"broker": 1}
    endings.close()
    away.close()
