"""How a function is reached by plain HTTP: who may call it, and its CORS settings."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "function_revisions",
        sa.Column(
            "http",
            sa.Text(),
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="JSON text: settings of the HTTP trigger",
        ),
    )


def downgrade() -> None:
    op.drop_column("function_revisions", "http")
