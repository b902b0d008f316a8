"""The forms of a release beside the one that was judged: one manifest for each tier."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "release_tiers",
        sa.Column("run_id", sa.String(length=96), nullable=False),
        sa.Column("tier", sa.String(length=96), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["releases.run_id"], name=op.f("fk_release_tiers_run_id")),
        sa.PrimaryKeyConstraint("run_id", "tier", name=op.f("pk_release_tiers")),
    )


def downgrade() -> None:
    op.drop_table("release_tiers")
