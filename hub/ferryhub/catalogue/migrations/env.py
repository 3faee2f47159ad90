"""Alembic's entry point: runs the revisions on the connection that `schema.upgrade` hands over. Never run alone."""

from __future__ import annotations

from alembic import context

from ferryhub.catalogue.tables import metadata


def run() -> None:
    """Run the revisions inside the caller's transaction."""
    connection = context.config.attributes["connection"]
    # SQLite cannot alter most things in place; batch mode copies the table.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()


run()
