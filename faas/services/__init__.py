"""The use cases, wired for one process."""

from __future__ import annotations

from dataclasses import dataclass

from faas.config import Settings
from faas.db import upkeep
from faas.db.database import Database
from faas.queueing.publisher import Publisher
from faas.queueing.rates import Rates
from faas.queueing.reporter import Reporter
from faas.services.access import Access
from faas.services.admission import QueueLimit
from faas.services.audit import Audit
from faas.services.batches import Batches
from faas.services.functions import Functions
from faas.services.health import Health
from faas.services.invocations import Invocations
from faas.services.measuring import Measuring
from faas.services.metrics import Metrics
from faas.services.namespaces import Namespaces
from faas.services.quotas import Admission, NamespaceQuotas
from faas.services.secrets import Secrets
from faas.services.stats import StatsOfFunctions
from faas.services.vault import Vault
from faas.services.waiting import Waiters
from faas.storage import Storage, open_storage
from faas.telemetry.counts import Counts

__all__ = ["Access", "Batches", "Functions", "Health", "Invocations", "Secrets", "Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases, and what they stand on."""

    functions: Functions
    invocations: Invocations
    batches: Batches
    access: Access
    namespaces: Namespaces
    audit: Audit
    rates: Rates
    quotas: NamespaceQuotas
    health: Health
    measuring: Measuring
    metrics: Metrics
    stats: StatsOfFunctions
    secrets: Secrets
    database: Database
    publisher: Publisher
    storage: Storage
    waiters: Waiters

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Wire the services. Nothing connects before the first use."""
        counts = Counts()
        database = Database(settings.database_url, name="faas-web", counts=counts)
        publisher = Publisher(settings.redis_url, counts=counts)
        storage = open_storage(settings)
        waiters = Waiters(database, settings.redis_url)
        rates = Rates(settings.redis_url)
        quotas = NamespaceQuotas(database, rates)
        admission = Admission(QueueLimit(lambda most: upkeep.queued(database, most), settings.queue_limit), quotas)
        functions = Functions(database, storage, publisher)
        measuring = Measuring(database, settings.worker_lease)
        reporter = Reporter(counts, settings.redis_url, "controller", settings.metrics_interval)
        return cls(
            functions=functions,
            invocations=Invocations(database, publisher, waiters, settings.redis_url, admission),
            batches=Batches(database, publisher, admission),
            rates=rates,
            quotas=quotas,
            access=Access(database, may_be_open=settings.may_be_open),
            namespaces=Namespaces(database),
            audit=Audit(database),
            health=Health(database, publisher, storage, settings.worker_lease),
            measuring=measuring,
            metrics=Metrics(counts, reporter, measuring),
            stats=StatsOfFunctions(database, measuring),
            secrets=Secrets(database, Vault(settings.secrets_keys), functions),
            database=database,
            publisher=publisher,
            storage=storage,
            waiters=waiters,
        )

    def close(self) -> None:
        """Close every connection."""
        self.waiters.close()
        self.metrics.close()
        self.publisher.close()
        self.database.close()
        self.storage.close()
