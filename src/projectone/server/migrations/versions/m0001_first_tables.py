"""The first tables of every room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_contributors()
    _create_devices()
    _create_effects()
    _create_hub_repos()
    _create_hub_tokens()
    _create_leases()
    _create_notifications()
    _create_releases()
    _create_runs()
    _create_consents()
    _create_hub_names()
    _create_hub_objects()
    _create_hub_refs()
    _create_hub_uploads()
    _create_samples()
    _create_sealed_samples()


def downgrade() -> None:
    op.drop_index(op.f("ix_sealed_samples_sample_id"), table_name="sealed_samples")
    op.drop_table("sealed_samples")
    op.drop_index(op.f("ix_samples_state"), table_name="samples")
    op.drop_index(op.f("ix_samples_contributor_id"), table_name="samples")
    op.drop_index(op.f("ix_samples_consent_receipt_id"), table_name="samples")
    op.drop_index(op.f("ix_samples_clip_sha256"), table_name="samples")
    op.drop_table("samples")
    op.drop_table("hub_uploads")
    op.drop_table("hub_refs")
    op.drop_table("hub_objects")
    op.drop_table("hub_names")
    op.drop_index(op.f("ix_consents_contributor_id"), table_name="consents")
    op.drop_table("consents")
    op.drop_index(op.f("ix_runs_state"), table_name="runs")
    op.drop_table("runs")
    op.drop_table("releases")
    op.drop_table("notifications")
    op.drop_table("leases")
    op.drop_table("hub_tokens")
    op.drop_table("hub_repos")
    op.drop_table("effects")
    op.drop_index(op.f("ix_devices_contributor_id"), table_name="devices")
    op.drop_table("devices")
    op.drop_table("contributors")


def _create_contributors() -> None:
    op.create_table(
        "contributors",
        sa.Column("contributor_id", sa.String(length=96), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("contributor_id", name=op.f("pk_contributors")),
    )


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(length=96), nullable=False),
        sa.Column("contributor_id", sa.String(length=96), nullable=False),
        sa.Column("public_key", sa.String(length=44), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_contributor_id"), "devices", ["contributor_id"], unique=False)


def _create_effects() -> None:
    op.create_table(
        "effects",
        sa.Column("run_id", sa.String(length=96), nullable=False),
        sa.Column("node", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("input_sha256", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("done_at_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "node", "name", "input_sha256", name=op.f("pk_effects")),
    )


def _create_hub_repos() -> None:
    op.create_table(
        "hub_repos",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("namespace", sa.String(length=96), nullable=False),
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("writes", sa.Integer(), nullable=False),
        sa.Column("created_at_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hub_repos")),
        sqlite_autoincrement=True,
    )


def _create_hub_tokens() -> None:
    op.create_table(
        "hub_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("namespaces", sa.Text(), nullable=False),
        sa.Column("expires_at_s", sa.Float(), nullable=True),
        sa.Column("created_at_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_hub_tokens")),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=160), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at_s", sa.Float(), nullable=False),
        sa.Column("sent_at_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key", "channel", name=op.f("pk_notifications")),
    )


def _create_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=96), nullable=False),
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=24), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("package_sha256", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("channel", "seq", name=op.f("uq_releases_channel")),
        sa.UniqueConstraint("run_id", name=op.f("uq_releases_run_id")),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("graph_version", sa.Integer(), nullable=True),
        sa.Column("node", sa.String(length=48), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("progress_step", sa.Integer(), nullable=True),
        sa.Column("progress_total", sa.Integer(), nullable=True),
        sa.Column("progress_loss", sa.Float(), nullable=True),
        sa.Column("progress_message", sa.Text(), nullable=True),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=True),
        sa.Column("n_items", sa.Integer(), nullable=True),
        sa.Column("n_new", sa.Integer(), nullable=True),
        sa.Column("n_discarded", sa.Integer(), nullable=True),
        sa.Column("candidate_sha256", sa.String(length=64), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("version", sa.String(length=24), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("log_path", sa.Text(), nullable=True),
        sa.Column("requested_at_s", sa.Float(), nullable=False),
        sa.Column("started_at_s", sa.Float(), nullable=True),
        sa.Column("finished_at_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("run_id", name=op.f("uq_runs_run_id")),
    )
    op.create_index(op.f("ix_runs_state"), "runs", ["state"], unique=False)


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("receipt_id", sa.Uuid(), nullable=False),
        sa.Column("contributor_id", sa.String(length=96), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("text_version", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contributor_id"], ["contributors.contributor_id"], name=op.f("fk_consents_contributor_id")
        ),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_contributor_id"), "consents", ["contributor_id"], unique=False)


def _create_hub_names() -> None:
    op.create_table(
        "hub_names",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("folded", sa.String(length=193), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["hub_repos.id"], name=op.f("fk_hub_names_repo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("kind", "folded", name=op.f("pk_hub_names")),
    )


def _create_hub_objects() -> None:
    op.create_table(
        "hub_objects",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("oid", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("pool_sha256", sa.String(length=64), nullable=True),
        sa.Column("lfs_sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["repo_id"], ["hub_repos.id"], name=op.f("fk_hub_objects_repo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repo_id", "oid", name=op.f("pk_hub_objects")),
    )


def _create_hub_refs() -> None:
    op.create_table(
        "hub_refs",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("target", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["hub_repos.id"], name=op.f("fk_hub_refs_repo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repo_id", "name", name=op.f("pk_hub_refs")),
    )


def _create_hub_uploads() -> None:
    op.create_table(
        "hub_uploads",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["hub_repos.id"], name=op.f("fk_hub_uploads_repo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repo_id", "sha256", name=op.f("pk_hub_uploads")),
    )


def _create_samples() -> None:
    op.create_table(
        "samples",
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("contributor_id", sa.String(length=96), nullable=False),
        sa.Column("consent_receipt_id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("upload_sha256", sa.String(length=64), nullable=False),
        sa.Column("correction_sha256", sa.String(length=64), nullable=False),
        sa.Column("clip_sha256", sa.String(length=64), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("heard", sa.Text(), nullable=True),
        sa.Column("heard_by", sa.String(length=96), nullable=True),
        sa.Column("accent", sa.String(length=96), nullable=True),
        sa.Column("script_id", sa.String(length=96), nullable=True),
        sa.Column("language", sa.String(length=3), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=96), nullable=True),
        sa.ForeignKeyConstraint(
            ["consent_receipt_id"], ["consents.receipt_id"], name=op.f("fk_samples_consent_receipt_id")
        ),
        sa.ForeignKeyConstraint(
            ["contributor_id"], ["contributors.contributor_id"], name=op.f("fk_samples_contributor_id")
        ),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_samples")),
    )
    op.create_index(op.f("ix_samples_clip_sha256"), "samples", ["clip_sha256"], unique=False)
    op.create_index(op.f("ix_samples_consent_receipt_id"), "samples", ["consent_receipt_id"], unique=False)
    op.create_index(op.f("ix_samples_contributor_id"), "samples", ["contributor_id"], unique=False)
    op.create_index(op.f("ix_samples_state"), "samples", ["state"], unique=False)


def _create_sealed_samples() -> None:
    op.create_table(
        "sealed_samples",
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.sample_id"], name=op.f("fk_sealed_samples_sample_id")),
        sa.PrimaryKeyConstraint("dataset_sha256", "sample_id", name=op.f("pk_sealed_samples")),
    )
    op.create_index(op.f("ix_sealed_samples_sample_id"), "sealed_samples", ["sample_id"], unique=False)
