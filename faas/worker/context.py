"""What all tasks of a worker process share."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from functools import partial

from faas.config import Settings
from faas.db import platform
from faas.db.database import Database
from faas.db.revisions import Revisions
from faas.errors import DatabaseDown
from faas.queueing.publisher import Publisher
from faas.queueing.reporter import Reporter
from faas.results.endings import Endings
from faas.sandbox.container import ContainerEngine
from faas.sandbox.engine import Engine, Owner
from faas.sandbox.pool import Pool
from faas.sandbox.shelf import Shelf
from faas.sandbox.simple import SimpleEngine
from faas.services.vault import Vault
from faas.storage import Storage, open_storage
from faas.telemetry.counts import Counts
from faas.worker import gauges
from faas.worker.dispatch import Dispatcher
from faas.worker.lane import Lane
from faas.worker.running import RunningSet
from faas.worker.usage import Usage

log = logging.getLogger("faas.worker")

# Compilers eat a core and a gigabyte each.
_BUILDS_AT_ONCE = 2
# How long a start waits for PostgreSQL and its tables.
_DATABASE_SECONDS, _PAUSE_SECONDS = 60.0, 0.5


@dataclass(frozen=True, slots=True)
class Context:
    """The worker's parts.

    Attributes:
        incarnation: the worker's name, the platform's id and a random part: unique to one start of one process. The owner of claims and sandboxes.
        platform_id: the part of an incarnation that tells this platform's leftovers on a host from another's.
        dispatcher, lane: None where each thread claims and runs for itself (`WORKER_DISPATCH=stock`).
        draining: set when the worker is to stop: nothing is claimed any more.
    """

    settings: Settings
    incarnation: str
    platform_id: str
    database: Database
    publisher: Publisher
    storage: Storage
    endings: Endings
    engine: Engine
    pool: Pool
    shelf: Shelf
    draining: threading.Event
    dispatcher: Dispatcher | None
    lane: Lane | None
    revisions: Revisions
    running: RunningSet
    usage: Usage
    counts: Counts
    reporter: Reporter
    vault: Vault = field(default_factory=lambda: Vault(()))
    build_slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_BUILDS_AT_ONCE))

    def close(self) -> None:
        """Close everything; what is written yet first."""
        self.endings.close()
        self.pool.close()
        self.engine.close()
        self.reporter.stop()
        self.publisher.close()
        self.storage.close()
        self.database.close()


def open_context(settings: Settings, threads: int) -> Context:
    """Wire a worker process that runs `threads` attempts at once. Raises PlatformError where the database does not answer or the engine can't be used."""
    counts = Counts()
    database = Database(settings.database_url, name="faas-worker", counts=counts)
    publisher = Publisher(settings.redis_url, counts=counts)
    storage = open_storage(settings)
    platform_id = _platform_id(database)[-12:]
    incarnation = f"{settings.worker_id}.{platform_id}.{secrets.token_hex(4)}"
    engine = _engine(settings, Owner(incarnation), platform_id)
    draining, running, revisions = threading.Event(), RunningSet(), Revisions(database)
    endings = Endings(database, publisher, platform_retries=settings.platform_retries)
    pool = Pool(
        engine,
        stem_cells=settings.worker_stem_cells,
        keep_alive_s=settings.worker_keep_alive,
        longest_keep_alive_s=settings.worker_keep_alive_longest,
        freeze_after_s=settings.worker_freeze_after or None,
        memory_mb=settings.worker_memory_mb,
        counts=counts,
    )
    counts.watch(partial(gauges.read, pool, running, threads))
    fast = settings.worker_dispatch == "fast"
    lane = Lane(pool, running) if fast else None
    dispatcher = Dispatcher(database, publisher, incarnation, draining, threads=threads, revisions=revisions)
    return Context(
        settings=settings,
        incarnation=incarnation,
        platform_id=platform_id,
        database=database,
        publisher=publisher,
        storage=storage,
        endings=endings,
        engine=engine,
        pool=pool,
        shelf=Shelf(storage, settings.worker_work_dir / "code"),
        draining=draining,
        dispatcher=dispatcher if fast else None,
        lane=lane,
        revisions=revisions,
        running=running,
        usage=Usage(database),
        counts=counts,
        reporter=Reporter(counts, settings.redis_url, "worker", settings.metrics_interval),
        vault=Vault(settings.secrets_keys),
    )


def _platform_id(database: Database) -> str:
    """The platform's id, once PostgreSQL answers and has the tables: where everything is started at once, that takes a moment. Raises DatabaseDown."""
    deadline, told = time.monotonic() + _DATABASE_SECONDS, False
    while True:
        try:
            return platform.get_id(database)
        except DatabaseDown as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                log.warning("waiting: %s", error)
            told = True
            time.sleep(_PAUSE_SECONDS)


def is_of_platform(incarnation: str, platform_id: str) -> bool:
    """Whether an incarnation belongs to this platform, and not to another one on the same host."""
    return re.fullmatch(rf".+\.{re.escape(platform_id)}\.[0-9a-f]+", incarnation) is not None


def _engine(settings: Settings, owner: Owner, platform_id: str) -> Engine:
    if settings.worker_engine == "simple":
        return SimpleEngine(settings.worker_work_dir, owner)
    return ContainerEngine(
        settings.worker_work_dir,
        owner,
        platform=platform_id,
        resolvers=settings.worker_egress_dns,
        oci_runtime=settings.worker_oci_runtime,
    )


_current: Context | None = None


def current() -> Context:
    """The context of this worker process."""
    if _current is None:
        raise RuntimeError("this process is no worker")
    return _current


def set_current(context: Context | None) -> None:
    """Name the context of this worker process; its start and its end do."""
    global _current
    _current = context
