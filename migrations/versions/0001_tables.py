"""The tables, with the partitions of this month and the next two."""

import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("invocation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("invocation_id", "number"),
        comment="attempts that were followed by another; the last one is the invocation itself",
    )
    op.create_table(
        "platform",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="one row: the id of this platform",
    )
    op.execute("INSERT INTO platform (id) VALUES (gen_random_uuid())")
    op.create_table(
        "functions",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "functions_name", "functions", ["name"], unique=True, postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("invocation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("idempotency_keys_created", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "invocations",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("function_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("function_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="guards every write of an attempt",
        ),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("platform_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when it may start; infinity while its revision is built",
        ),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queue_ms", sa.Integer(), nullable=True),
        sa.Column("init_ms", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("cold_start", sa.Boolean(), nullable=True),
        sa.Column("memory_peak_mb", sa.Float(), nullable=True),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="JSON text"),
        sa.Column("payload", sa.Text(), nullable=False, comment="JSON text"),
        sa.Column("headers", sa.Text(), nullable=False, comment="JSON text"),
        sa.Column("result", sa.Text(), nullable=True, comment="JSON text"),
        sa.Column("logs", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled')",
            name="invocations_status",
        ),
        sa.PrimaryKeyConstraint("id"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "invocations_admitted",
        "invocations",
        ["published_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NOT NULL"),
    )
    op.create_index(
        "invocations_by_function", "invocations", ["function_id", sa.literal_column("id DESC")], unique=False
    )
    op.create_index("invocations_by_status", "invocations", ["status", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "invocations_due",
        "invocations",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NULL"),
    )
    op.create_index(
        "invocations_running",
        "invocations",
        ["worker_id"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "invocations_waiting",
        "invocations",
        ["function_id", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NULL"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False, comment="the incarnation: one start of one process"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "function_revisions",
        sa.Column("function_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("retry_max_attempts", sa.Integer(), nullable=False),
        sa.Column("retry_backoff_ms", sa.Integer(), nullable=False),
        sa.Column("retry_max_backoff_ms", sa.Integer(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False, comment="JSON text"),
        sa.Column("metadata", sa.Text(), nullable=False, comment="JSON text"),
        sa.Column("code_digest", sa.Text(), nullable=False),
        sa.Column("code_size", sa.Integer(), nullable=False),
        sa.Column("artifact_digest", sa.Text(), nullable=True, comment="what runs; null until it is built"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("build_worker", sa.Text(), nullable=True, comment="the worker incarnation that compiles it now"),
        sa.Column(
            "build_failures",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="failures of the platform, not of the code",
        ),
        sa.Column("build_published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('building', 'active', 'failed')", name="function_revisions_state"),
        sa.ForeignKeyConstraint(["function_id"], ["functions.id"], name="function_revisions_function"),
        sa.PrimaryKeyConstraint("function_id", "number"),
    )
    op.create_index(
        "function_revisions_building",
        "function_revisions",
        ["build_published_at"],
        unique=False,
        postgresql_where=sa.text("state = 'building'"),
    )
    op.create_table(
        "slots",
        sa.Column("function_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False, comment="max_concurrency of the newest revision"),
        sa.Column("used", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="admitted and not ended"),
        sa.ForeignKeyConstraint(["function_id"], ["functions.id"], name="slots_function"),
        sa.PrimaryKeyConstraint("function_id"),
        postgresql_with={"fillfactor": "50"},
    )
    _make_partitions()


def downgrade() -> None:
    op.drop_table("slots")
    op.drop_index(
        "function_revisions_building", table_name="function_revisions", postgresql_where=sa.text("state = 'building'")
    )
    op.drop_table("function_revisions")
    op.drop_table("workers")
    op.drop_index(
        "invocations_waiting",
        table_name="invocations",
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NULL"),
    )
    op.drop_index("invocations_running", table_name="invocations", postgresql_where=sa.text("status = 'running'"))
    op.drop_index(
        "invocations_due",
        table_name="invocations",
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NULL"),
    )
    op.drop_index("invocations_by_status", table_name="invocations")
    op.drop_index("invocations_by_function", table_name="invocations")
    op.drop_index(
        "invocations_admitted",
        table_name="invocations",
        postgresql_where=sa.text("status = 'queued' AND admitted_at IS NOT NULL"),
    )
    op.drop_table("invocations")
    op.drop_index("idempotency_keys_created", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("functions_name", table_name="functions", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("functions")
    op.drop_table("platform")
    op.drop_table("attempts")


def _make_partitions() -> None:
    op.execute("CREATE TABLE invocations_rest PARTITION OF invocations DEFAULT")
    today = datetime.datetime.now(datetime.UTC)
    for index in range(today.year * 12 + today.month - 1, today.year * 12 + today.month + 2):
        low, high = _least_id(index), _least_id(index + 1)
        op.execute(
            f"CREATE TABLE invocations_{index // 12:04d}_{index % 12 + 1:02d} PARTITION OF invocations FOR VALUES FROM ('{low}') TO ('{high}')"
        )


def _least_id(index: int) -> str:
    """The least UUIDv7 of a month, counted from year 0."""
    text = f"{int(datetime.datetime(index // 12, index % 12 + 1, 1, tzinfo=datetime.UTC).timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-0000-0000-000000000000"
