"""The tables. Migrations import this module and nothing else of the platform.

`invocations` is partitioned by month on its UUIDv7 key (`faas.db.partitions`): a month goes by dropping its partition. There are no foreign keys
to it or from it: functions are only marked as deleted, and a foreign key would cost a lock and a look-up for each row.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

from faas.domain.stats import BOUNDS_MS

metadata = MetaData()


def _id(name: str, **options: object) -> Column[str]:
    return Column(name, Uuid(as_uuid=False), **options)  # type: ignore[arg-type]


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _counts() -> list[Column[int]]:
    """Null for nothing: a row is as long as it says something."""
    return [Column(name, BigInteger) for name in STATS]


# The columns of what is added up: sums, and for the times before and of a run a count for each bucket of `BOUNDS_MS`.
STATS = (
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "platform_failures",
    "cold_starts",
    "init_ms",
    "admissions",
    "admission_ms",
    "wait_ms",
    "run_ms",
    *(f"{kind}_{n}" for kind in ("waits", "runs") for n in range(len(BOUNDS_MS))),
)

platform = Table(
    "platform",
    metadata,
    _id("id", primary_key=True),
    Column("stats_until", DateTime(timezone=True), comment="what ended by then is in function_stats"),
    comment="one row: the id of this platform",
)

functions = Table(
    "functions",
    metadata,
    _id("id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("deleted_at"),
    Column("namespace", Text, nullable=False, server_default=text("'default'")),
    Index("functions_name", "namespace", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

function_revisions = Table(
    "function_revisions",
    metadata,
    _id("function_id", primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("handler", Text, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("memory_mb", Integer, nullable=False),
    Column("cpus", Float, nullable=False),
    Column("max_concurrency", Integer, nullable=False),
    Column("network", Text, nullable=False),
    Column("retry_max_attempts", Integer, nullable=False),
    Column("retry_backoff_ms", Integer, nullable=False),
    Column("retry_max_backoff_ms", Integer, nullable=False),
    Column("environment", Text, nullable=False, comment="JSON text"),
    Column("metadata", Text, nullable=False, comment="JSON text"),
    Column(
        "secrets",
        Text,
        nullable=False,
        server_default=text("'{}'"),
        comment="JSON text: a variable's name to a secret's",
    ),
    Column(
        "http", Text, nullable=False, server_default=text("'{}'"), comment="JSON text: settings of the HTTP trigger"
    ),
    Column("code_digest", Text, nullable=False),
    Column("code_size", Integer, nullable=False),
    Column("artifact_digest", Text, comment="what runs; null until it is built"),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("build_worker", Text, comment="the worker incarnation that compiles it now"),
    Column(
        "build_failures",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="failures of the platform, not of the code",
    ),
    _time("build_published_at"),
    _time("created_at", nullable=False),
    ForeignKeyConstraint(["function_id"], ["functions.id"], name="function_revisions_function"),
    CheckConstraint("state IN ('building', 'active', 'failed')", name="function_revisions_state"),
    Index("function_revisions_building", "build_published_at", postgresql_where=text("state = 'building'")),
)

# One narrow row for each living function. Whoever admits, ends or cancels an invocation locks it first, and the invocations after it:
# so the limit is exact over the whole cluster, and nobody waits in a circle.
slots = Table(
    "slots",
    metadata,
    Column("function_id", Uuid(as_uuid=False), ForeignKey("functions.id", name="slots_function"), primary_key=True),
    Column("capacity", Integer, nullable=False, comment="max_concurrency of the newest revision"),
    Column("used", Integer, nullable=False, server_default=text("0"), comment="admitted and not ended"),
    postgresql_with={"fillfactor": "50"},
)

invocations = Table(
    "invocations",
    metadata,
    _id("id", primary_key=True),
    _id("function_id", nullable=False),
    Column("function_name", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="guards every write of an attempt"),
    Column("max_attempts", Integer, nullable=False),
    Column("platform_failures", Integer, nullable=False, server_default=text("0")),
    Column("timeout_ms", Integer, nullable=False),
    _time("created_at", nullable=False),
    Column(
        "due_at",
        DateTime(timezone=True),
        nullable=False,
        comment="when it may start; infinity while its revision is built",
    ),
    _time("admitted_at"),
    _time("published_at"),
    _time("cancel_requested_at"),
    _time("started_at"),
    _time("finished_at"),
    Column("queue_ms", Integer),
    Column("init_ms", Integer),
    Column("duration_ms", Integer),
    Column("cold_start", Boolean),
    Column("memory_peak_mb", Float),
    Column("worker_id", Text),
    Column("error", Text, comment="JSON text"),
    Column("payload", Text, nullable=False, comment="JSON text"),
    Column("headers", Text, nullable=False, comment="JSON text"),
    Column("result", Text, comment="JSON text"),
    Column("logs", LargeBinary),
    _time("run_at"),
    Column("expires_at", DateTime(timezone=True), comment="it is not started for the first time later"),
    _id("batch_id"),
    _id("replay_of"),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled')", name="invocations_status"
    ),
    # The three hot queries: a page by function, a page by status, and who waits for a slot. The others are partial, over living rows alone.
    Index("invocations_by_function", "function_id", text("id DESC")),
    Index("invocations_by_status", "status", text("id DESC")),
    Index(
        "invocations_waiting",
        "function_id",
        "due_at",
        "id",
        postgresql_where=text("status = 'queued' AND admitted_at IS NULL"),
    ),
    Index("invocations_due", "due_at", postgresql_where=text("status = 'queued' AND admitted_at IS NULL")),
    Index(
        "invocations_admitted", "published_at", postgresql_where=text("status = 'queued' AND admitted_at IS NOT NULL")
    ),
    Index("invocations_running", "worker_id", postgresql_where=text("status = 'running'")),
    Index(
        "invocations_expiring",
        "expires_at",
        postgresql_where=text("status = 'queued' AND attempts = 0 AND expires_at IS NOT NULL"),
    ),
    Index("invocations_by_replay", "replay_of", postgresql_where=text("replay_of IS NOT NULL")),
    Index("invocations_by_batch", "batch_id", text("id DESC"), postgresql_where=text("batch_id IS NOT NULL")),
    # Whoever adds up what has ended since the last time finds it here, whatever its age.
    Index("invocations_ended", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    postgresql_partition_by="RANGE (id)",
)

attempts = Table(
    "attempts",
    metadata,
    _id("invocation_id", primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("worker_id", Text),
    _time("started_at"),
    _time("finished_at"),
    Column("status", Text, nullable=False),
    Column("error_type", Text),
    comment="attempts that were followed by another; the last one is the invocation itself",
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True, comment="the incarnation: one start of one process"),
    Column("name", Text, nullable=False),
    Column("engine", Text, nullable=False),
    _time("started_at", nullable=False),
    _time("beat_at", nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("namespace", Text, primary_key=True, server_default=text("'default'")),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False, comment="one more for every value"),
    Column("key_id", Text, nullable=False, comment="which key of FAAS_SECRETS_KEY encrypted it"),
    Column("ciphertext", LargeBinary, nullable=False, comment="AES-256-GCM: nonce, text, tag"),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    _id("invocation_id", nullable=False),
    _time("created_at", nullable=False),
    Index("idempotency_keys_created", "created_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id("id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the whole key"),
    Column("scopes", ARRAY(Text), nullable=False),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("last_used_at"),
    _time("revoked_at"),
    Column("requests_per_minute", Integer, comment="null for any number"),
    Column("namespace", Text, nullable=False, server_default=text("'default'")),
    Index("api_keys_prefix", "prefix", unique=True),
)

namespaces = Table(
    "namespaces",
    metadata,
    Column("name", Text, primary_key=True),
    _time("created_at", nullable=False),
    Column("requests_per_minute", Integer),
    Column("queued", Integer),
    Column("concurrent", Integer),
    Column("code_mb", Integer),
    Column("cpu_seconds_per_day", Integer),
)

usage = Table(
    "usage",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="in UTC"),
    Column("cpu_ms", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    _id("id", primary_key=True),
    _time("at", nullable=False),
    Column("namespace", Text, nullable=False),
    _id("key_id", comment="null where the server was open"),
    Column("key_name", Text),
    Column("action", Text, nullable=False),
    Column("object", Text),
    Column("remote", Text),
    Column("request_id", Text, nullable=False),
    Index("audit_by_namespace", "namespace", text("id DESC")),
)

function_stats = Table(
    "function_stats",
    metadata,
    _id("function_id", primary_key=True),
    Column("step_s", Integer, primary_key=True, comment="how long the part of time is"),
    Column("at", DateTime(timezone=True), primary_key=True, comment="when it begins"),
    *_counts(),
    Index("function_stats_by_time", "step_s", "at"),
    postgresql_with={"fillfactor": "50"},
)

function_totals = Table(
    "function_totals",
    metadata,
    Column(
        "function_id",
        Uuid(as_uuid=False),
        primary_key=True,
        comment="all zeros for the functions without a row of their own",
    ),
    Column("at", DateTime(timezone=True), nullable=False, comment="when one of it ended last"),
    *_counts(),
    postgresql_with={"fillfactor": "50"},
)
