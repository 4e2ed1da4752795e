"""Claiming and ending by id alone, whatever the planner knew when it made their plans. The functions keep their signatures: old code calls the new ones."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FUNCTIONS = ("faas_claim", "faas_finish_many")


def upgrade() -> None:
    _run((_SQL / "0012_lookups.sql").read_text())


def downgrade() -> None:
    before = (_SQL / "0004_speed.sql").read_text()
    for name in _FUNCTIONS:
        _run(_function(before, name))


def _function(text: str, name: str) -> str:
    """The statement of an older file that makes a function, in place of the one that is there: at no time is there none."""
    start = text.index(f"CREATE FUNCTION {name}(")
    body = text[start : text.index("END $$;", start)] + "END $$;"
    return body.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def _run(text: str) -> None:
    op.get_bind().exec_driver_sql(text.replace("%", "%%"))
