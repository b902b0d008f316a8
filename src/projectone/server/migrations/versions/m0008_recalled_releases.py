"""Which releases learned from something that was withdrawn since, and by when each is replaced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recalled_releases",
        sa.Column("release_run_id", sa.String(length=96), nullable=False),
        sa.Column("consent_receipt_id", sa.Uuid(), nullable=False),
        sa.Column("replace_by", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_receipt_id"],
            ["consents.receipt_id"],
            name=op.f("fk_recalled_releases_consent_receipt_id"),
        ),
        sa.PrimaryKeyConstraint("release_run_id", "consent_receipt_id", name=op.f("pk_recalled_releases")),
    )


def downgrade() -> None:
    op.drop_table("recalled_releases")
