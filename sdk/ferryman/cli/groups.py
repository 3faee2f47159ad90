"""Commands that have commands, as `ferry` and `ferry project`: a misspelt one is met with those that are like it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Group(TyperGroup):
    """Says which command was probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args and args[0] not in known:
            from difflib import get_close_matches

            near = get_close_matches(args[0], known, n=3, cutoff=0.5)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)
