"""Whose consents a product's person gave, where the product said so: memories go with the last of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision: str | None = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosted_memory_links",
        sa.Column("tenant", sa.String(256), nullable=False),
        sa.Column("person", sa.String(256), nullable=False),
        sa.Column("contributor_id", sa.String(96), nullable=False),
        sa.Column("linked_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", name=op.f("pk_hosted_memory_links")),
    )


def downgrade() -> None:
    op.drop_table("hosted_memory_links")
