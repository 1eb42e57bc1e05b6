"""Commands that are built when they are called or listed, and not before.

Building one takes as long as a tenth of a bare interpreter's start, or more; nobody calls two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command


class LazyGroup(TyperGroup):
    """A group whose commands are found in modules, each under its own name."""

    homes: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order in which help shows them."""
        return list(self.homes)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        if cmd_name not in self.homes:
            return super().get_command(ctx, cmd_name)
        found: typer.Typer | Callable[..., None] = getattr(
            import_module(self.homes[cmd_name]), cmd_name
        )
        if not isinstance(found, typer.Typer):
            app = typer.Typer(rich_markup_mode=None, add_completion=False)
            app.command(cmd_name)(found)
            found = app
        command = get_command(found)
        command.name = cmd_name
        return command
