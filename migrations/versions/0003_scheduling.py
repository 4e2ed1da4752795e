"""Invocations that run later, expire, belong to a batch, or run another one again. New columns are null and cost old rows nothing."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FUNCTIONS = ("faas_expire", "faas_claim", "faas_cancel", "faas_finish", "faas_accept", "faas_admit")


def upgrade() -> None:
    op.add_column("invocations", sa.Column("run_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "invocations",
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="it is not started for the first time later",
        ),
    )
    op.add_column("invocations", sa.Column("batch_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("invocations", sa.Column("replay_of", sa.Uuid(as_uuid=False), nullable=True))
    op.create_index(
        "invocations_expiring",
        "invocations",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND attempts = 0 AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "invocations_by_batch",
        "invocations",
        ["batch_id", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "invocations_by_replay",
        "invocations",
        ["replay_of"],
        unique=False,
        postgresql_where=sa.text("replay_of IS NOT NULL"),
    )
    _run("0003_scheduling.sql")


def downgrade() -> None:
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    _run("0002_functions.sql")
    op.drop_index("invocations_by_replay", table_name="invocations", postgresql_where=sa.text("replay_of IS NOT NULL"))
    op.drop_index("invocations_by_batch", table_name="invocations", postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.drop_index(
        "invocations_expiring",
        table_name="invocations",
        postgresql_where=sa.text("status = 'queued' AND attempts = 0 AND expires_at IS NOT NULL"),
    )
    for name in ("replay_of", "batch_id", "expires_at", "run_at"):
        op.drop_column("invocations", name)


def _run(file: str) -> None:
    op.get_bind().exec_driver_sql((_SQL / file).read_text().replace("%", "%%"))
