"""What withdrawals took and the disk may still have, so that nothing is forgotten if removing it fails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "doomed_blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("consent_receipt_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_receipt_id"],
            ["consents.receipt_id"],
            name=op.f("fk_doomed_blobs_consent_receipt_id"),
        ),
        sa.PrimaryKeyConstraint("sha256", "consent_receipt_id", name=op.f("pk_doomed_blobs")),
    )


def downgrade() -> None:
    op.drop_table("doomed_blobs")
