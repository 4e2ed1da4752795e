"""What has ended, added up by function and time: for `GET /stats` and `/metrics`. The reconciler fills it from an index of the ends."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SUMS = (
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
)
_BUCKETS = 51
_ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    _index_beside_writers()
    op.create_table(
        "function_stats",
        sa.Column("function_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("step_s", sa.Integer(), nullable=False, comment="how long the part of time is"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when it begins"),
        *_counts(),
        sa.PrimaryKeyConstraint("function_id", "step_s", "at"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("function_stats_by_time", "function_stats", ["step_s", "at"])
    op.create_table(
        "function_totals",
        sa.Column(
            "function_id",
            sa.Uuid(as_uuid=False),
            nullable=False,
            comment="all zeros for the functions without a row of their own",
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when one of it ended last"),
        *_counts(),
        sa.PrimaryKeyConstraint("function_id"),
        postgresql_with={"fillfactor": "50"},
    )
    op.add_column(
        "platform",
        sa.Column(
            "stats_until", sa.DateTime(timezone=True), nullable=True, comment="what ended by then is in function_stats"
        ),
    )
    op.create_index("invocations_ended", "invocations", ["finished_at"], postgresql_where=_ENDED)


def downgrade() -> None:
    op.drop_index("invocations_ended", table_name="invocations", postgresql_where=_ENDED)
    op.drop_column("platform", "stats_until")
    op.drop_table("function_totals")
    op.drop_index("function_stats_by_time", table_name="function_stats")
    op.drop_table("function_stats")


def _index_beside_writers() -> None:
    """Index the ends of each partition without holding up who writes into it; the index of the whole table then takes these for its parts.

    That needs transactions of its own, and so tables that this one has not locked yet: where more migrations run in it, nothing is done.
    """
    with op.get_bind().engine.connect().execution_options(isolation_level="AUTOCOMMIT") as beside:
        version = sa.text("SELECT version_num FROM alembic_version")
        if not sa.inspect(beside).has_table("alembic_version") or beside.scalar(version) != down_revision:
            return
        partitions = sa.text("SELECT relid::regclass::text FROM pg_partition_tree('invocations') WHERE isleaf")
        for partition in beside.scalars(partitions).all():
            name = f"{partition}_finished_at_idx"
            # One that was broken off is there, and is good for nothing.
            beside.execute(sa.text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
            create = f"CREATE INDEX CONCURRENTLY {name} ON {partition} (finished_at) WHERE {_ENDED.text}"
            beside.execute(sa.text(create))


def _counts() -> list[sa.Column[int]]:
    """Null for nothing: a row is as long as it says something."""
    names = [*_SUMS, *(f"{kind}_{n}" for kind in ("waits", "runs") for n in range(_BUCKETS))]
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in names]
