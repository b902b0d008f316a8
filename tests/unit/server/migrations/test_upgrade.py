"""The migrated tables are the ones the code uses, and newer ones are left alone."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from projectone.errors import StorageError
from projectone.server.database import open_engine, reading, writing
from projectone.server.migrations.tables import all_tables
from projectone.server.migrations.upgrade import upgrade_database


def test_migrating_gives_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, all_tables()) == []
        found = set(inspect(connection).get_table_names())
    assert found == {*all_tables().tables, "alembic_version"}
    engine.dispose()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    assert upgrade_database(engine) == upgrade_database(engine)
    engine.dispose()


def test_rows_of_the_first_revision_are_kept_and_get_the_tables_that_came_since(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    with writing(engine) as connection:  # as the first revision left it
        connection.execute(text("DROP TABLE sample_returns"))
        connection.execute(text("DROP TABLE golden_members"))
        connection.execute(text("DROP TABLE golden_versions"))
        connection.execute(text("DROP TABLE golden_reviews"))
        connection.execute(text("DROP TABLE exports"))
        connection.execute(text("DROP TABLE sample_salts"))
        connection.execute(text("DROP TABLE snapshots"))
        connection.execute(text("DROP TABLE doomed_blobs"))
        connection.execute(text("DROP TABLE recalled_releases"))
        connection.execute(text("DROP TABLE sample_copies"))
        connection.execute(text("DROP TABLE audit_log"))
        connection.execute(text("DROP TABLE operator_tokens"))
        connection.execute(text("DROP TABLE enrolment_clusters"))
        connection.execute(text("DROP TABLE enrolment_salts"))
        connection.execute(text("DROP TABLE release_tiers"))
        connection.execute(text("DROP TABLE approvals"))
        connection.execute(text("DROP TABLE rollouts"))
        connection.execute(text("DROP TABLE health_tickets"))
        connection.execute(text("DROP TABLE health_reports"))
        for name in ("quality_weeks", "quality_tickets", "quality_cells", "quality_counted"):
            connection.execute(text(f"DROP TABLE {name}"))
        connection.execute(text("DROP TABLE deleted_samples"))
        connection.execute(text("DROP TABLE intent_labels"))
        for name in (
            "hosted_memories",
            "hosted_memory_keys",
            "memory_tenants",
            "hosted_memory_links",
            "hosted_memory_withdrawals",
        ):
            connection.execute(text(f"DROP TABLE {name}"))
        connection.execute(text("ALTER TABLE hub_uploads DROP COLUMN uploaded_at_s"))
        connection.execute(text("ALTER TABLE devices DROP COLUMN revoked_because"))
        connection.execute(text("ALTER TABLE samples DROP COLUMN checks"))
        connection.execute(text("ALTER TABLE samples DROP COLUMN words"))
        connection.execute(text("ALTER TABLE samples DROP COLUMN text_mac"))
        connection.execute(text("ALTER TABLE runs DROP COLUMN family"))
        connection.execute(text("ALTER TABLE leases DROP COLUMN ttl_s"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        connection.execute(text("INSERT INTO contributors VALUES ('ada', '2026-11-01')"))
    upgrade_database(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), all_tables()) == []
        assert connection.execute(text("SELECT contributor_id FROM contributors")).scalars().all() == ["ada"]
    engine.dispose()


def test_rows_of_newer_code_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="update the server"):
        upgrade_database(engine)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_a_revision_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE samples (in_the_way TEXT)"))
    with pytest.raises(StorageError):
        upgrade_database(engine)
    with reading(engine) as connection:
        assert inspect(connection).get_table_names() == ["samples"]
    engine.dispose()
