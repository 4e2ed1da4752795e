"""The hot functions with plans that are kept, and the ends of many attempts in one update."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FUNCTIONS = (
    "faas_finish_many",
    "faas_expire",
    "faas_claim",
    "faas_cancel",
    "faas_finish",
    "faas_accept",
    "faas_admit",
)


def upgrade() -> None:
    _run("0004_speed.sql")


def downgrade() -> None:
    # The files before it make all of theirs: the older one those of its time, the newer one what it changed.
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    _run("0002_functions.sql")
    _run("0003_scheduling.sql")


def _run(file: str) -> None:
    op.get_bind().exec_driver_sql((_SQL / file).read_text().replace("%", "%%"))
