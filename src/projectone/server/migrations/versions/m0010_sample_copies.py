"""Which sample stands for one that was set aside as its copy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sample_copies",
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("original_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.sample_id"], name=op.f("fk_sample_copies_sample_id")),
        sa.ForeignKeyConstraint(["original_id"], ["samples.sample_id"], name=op.f("fk_sample_copies_original_id")),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_sample_copies")),
    )
    op.create_index(op.f("ix_sample_copies_original_id"), "sample_copies", ["original_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_sample_copies_original_id"), table_name="sample_copies")
    op.drop_table("sample_copies")
