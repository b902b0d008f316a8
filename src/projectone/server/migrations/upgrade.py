"""Rows to the newest revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from projectone.errors import StorageError
from projectone.server.database import writing

_FOLDER = Path(__file__).resolve().parent


def upgrade_database(engine: Engine) -> str:
    """Bring the tables to what this code expects, all or nothing; gives the revision. Harmless if they are there.

    Raises:
        StorageError: if newer code wrote the rows, or a revision fails (nothing is changed then).
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    (newest,) = scripts.get_heads()
    with writing(engine) as connection:
        known = {script.revision for script in scripts.walk_revisions()}
        for revision in MigrationContext.configure(connection).get_current_heads():
            if revision not in known:
                raise StorageError(
                    f"database: is at revision {revision!r}, this code knows {newest!r}: update the server, "
                    "or restore the backup from before the newer one ran"
                )
            if revision == newest:
                return newest
        config.attributes["connection"] = connection
        command.upgrade(config, newest)
    return newest
