"""Namespaces, and the audit log.

Going down needs names of functions that are taken once over all namespaces; whoever has more deletes them first.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_LIVING = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "namespaces",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute("INSERT INTO namespaces (name, created_at) VALUES ('default', now())")
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(as_uuid=False), nullable=True, comment="null where the server was open"),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_by_namespace", "audit", ["namespace", sa.literal_column("id DESC")])
    # A constant default: no row is rewritten.
    for table in ("functions", "api_keys"):
        op.add_column(table, sa.Column("namespace", sa.Text(), nullable=False, server_default=sa.text("'default'")))
    op.drop_index("functions_name", table_name="functions", postgresql_where=_LIVING)
    op.create_index("functions_name", "functions", ["namespace", "name"], unique=True, postgresql_where=_LIVING)
    _run((_SQL / "0009_namespaces.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION faas_accept")
    _run(_function((_SQL / "0004_speed.sql").read_text()))
    op.drop_index("functions_name", table_name="functions", postgresql_where=_LIVING)
    op.create_index("functions_name", "functions", ["name"], unique=True, postgresql_where=_LIVING)
    for table in ("api_keys", "functions"):
        op.drop_column(table, "namespace")
    op.drop_index("audit_by_namespace", table_name="audit")
    op.drop_table("audit")
    op.drop_table("namespaces")


def _function(text: str) -> str:
    """The statement of an older file that makes `faas_accept`."""
    start = text.index("CREATE OR REPLACE FUNCTION faas_accept(")
    return text[start : text.index("END $$;", start)] + "END $$;"


def _run(text: str) -> None:
    op.get_bind().exec_driver_sql(text.replace("%", "%%"))
