"""Secrets, and which of them a revision is given."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("namespace", sa.Text(), nullable=False, server_default=sa.text("'default'")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="one more for every value"),
        sa.Column("key_id", sa.Text(), nullable=False, comment="which key of FAAS_SECRETS_KEY encrypted it"),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False, comment="AES-256-GCM: nonce, text, tag"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name"),
    )
    op.add_column(
        "function_revisions",
        sa.Column(
            "secrets",
            sa.Text(),
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="JSON text: a variable's name to a secret's",
        ),
    )


def downgrade() -> None:
    op.drop_column("function_revisions", "secrets")
    op.drop_table("secrets")
