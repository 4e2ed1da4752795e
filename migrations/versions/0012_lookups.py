"""Claiming and ending by id alone, whatever the planner knew when it made their plans; a claim that is not waited for until it is on the disk.

Old code calls the new functions: what has come to them has a default.
"""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run((_SQL / "0012_lookups.sql").read_text())


def downgrade() -> None:
    before = (_SQL / "0004_speed.sql").read_text()
    op.execute("DROP FUNCTION faas_finish_many")
    for name in ("faas_claim", "faas_finish_many"):
        _run(_function(before, name))


def _function(text: str, name: str) -> str:
    """The statement of an older file that makes a function, in place of the one that is there: at no time is there none."""
    start = text.index(f"CREATE FUNCTION {name}(")
    body = text[start : text.index("END $$;", start)] + "END $$;"
    return body.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def _run(text: str) -> None:
    op.get_bind().exec_driver_sql(text.replace("%", "%%"))
