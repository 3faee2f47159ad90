"""Finds the project that `--project` names, by id, alias or name, and whose an upload is without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.cli.faults import Problem
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.types import Project


def owner(client: Client, project: str | None, *, create: bool = False) -> tuple[str, str]:
    """(owner_type, owner_id) of an upload: the project, or the user's own space when none is named."""
    if project is None:
        if create:
            raise Problem("--create-project needs a name", "Pass it as --project NAME.")
        return "user", client.auth_status().user_id
    return "project", find(client, project, create=create).project_id


def find(client: Client, named: str, *, create: bool = False) -> Project:
    """The project by id or alias, else by its name, which must be of one project alone.

    Raises the hub's `not_found` when there is none and `create` is False.
    """
    try:
        return client.projects.get(named)
    except DaemonError as error:
        if error.code not in ("not_found", "invalid_argument"):
            raise
        missing = error
    same = [project for project in client.projects.list(page_size=1_000) if project.name == named]
    if len(same) > 1:
        ids = ", ".join(project.project_id for project in same)
        raise Problem(f"{len(same)} projects are called {named!r}: {ids}", "Name one by its id.")
    if same:
        return same[0]
    if not create:
        raise missing
    return client.create_project(named)
