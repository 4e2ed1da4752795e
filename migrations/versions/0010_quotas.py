"""Quotas of namespaces, and the CPU-time that each has used, by day."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_QUOTAS = ("requests_per_minute", "queued", "concurrent", "code_mb", "cpu_seconds_per_day")


def upgrade() -> None:
    for name in _QUOTAS:
        op.add_column("namespaces", sa.Column(name, sa.Integer(), nullable=True))
    op.create_table(
        "usage",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="in UTC"),
        sa.Column("cpu_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "day"),
    )


def downgrade() -> None:
    op.drop_table("usage")
    for name in _QUOTAS:
        op.drop_column("namespaces", name)
