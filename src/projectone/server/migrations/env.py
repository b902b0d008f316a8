"""What Alembic runs: inside the transaction that `upgrade` began."""

from __future__ import annotations

from alembic import context

from projectone.server.migrations.tables import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    render_as_batch=True,  # SQLite changes a column by copying its table
    transactional_ddl=True,
)
context.run_migrations()
