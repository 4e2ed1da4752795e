"""`python -m faas.reconciler` (Procfile: `clock`)."""

from __future__ import annotations

import logging
import signal
import sys

from faas import config
from faas.db.database import Database
from faas.errors import ConfigError
from faas.queueing.publisher import Publisher
from faas.queueing.reporter import Reporter
from faas.reconciler.loop import Reconciler
from faas.results.endings import Endings
from faas.telemetry import logs
from faas.telemetry.counts import Counts


def main() -> int:
    """Run the reconciler until SIGTERM or SIGINT."""
    try:
        settings = config.load()
    except ConfigError as error:
        print(f"faas clock: {error}", file=sys.stderr)  # noqa: T201 (a person at a terminal reads it)
        return 2
    logs.configure(settings.log_level)
    counts = Counts()
    reporter = Reporter(counts, settings.redis_url, "clock", settings.metrics_interval)
    database, publisher = (
        Database(settings.database_url, connections=4, name="faas-clock", counts=counts),
        Publisher(settings.redis_url, counts=counts),
    )
    endings = Endings(database, publisher, platform_retries=settings.platform_retries)
    reconciler = Reconciler(
        database,
        publisher,
        endings,
        lease_s=settings.worker_lease,
        retention_days=settings.retention_days,
        named=settings.metrics_functions,
    )

    def stop(*_: object) -> None:
        endings.close()
        reconciler.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logging.getLogger("faas.reconciler").info("reconciler started")
    reporter.start()
    reconciler.run()
    reporter.stop()
    publisher.close()
    database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
