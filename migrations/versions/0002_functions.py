"""The functions in the database: admit, accept, finish, cancel."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql" / "0002_functions.sql"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_SQL.read_text().replace("%", "%%"))


def downgrade() -> None:
    for name in ("faas_claim", "faas_cancel", "faas_finish", "faas_accept", "faas_admit"):
        op.execute(f"DROP FUNCTION {name}")
