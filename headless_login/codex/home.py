"""Where Codex keeps its files, and whether a sign-in can be written there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from headless_login.errors import LocalTrouble


@dataclass(frozen=True, slots=True)
class CodexHome:
    """A Codex folder (`$CODEX_HOME`), as an absolute path."""

    path: str

    @classmethod
    def find(cls, given: str | None, environ: Mapping[str, str]) -> CodexHome:
        """Return the folder given, else `$CODEX_HOME`, else `~/.codex` (codex-facts.md §6)."""
        chosen = given or environ.get("CODEX_HOME") or "~/.codex"
        return cls(os.path.abspath(os.path.expanduser(chosen)))

    @property
    def auth_file(self) -> str:
        """The file that holds the sign-in."""
        return os.path.join(self.path, "auth.json")

    @property
    def config_file(self) -> str:
        """The configuration of Codex."""
        return os.path.join(self.path, "config.toml")

    def make(self) -> bool:
        """Make the folder (0700) if it is missing and tell whether that was so.

        Raises:
            LocalTrouble: `store_failed`; it cannot be made, or something else is in its place.
        """
        if os.path.isdir(self.path):
            return False
        reason: OSError
        try:
            os.makedirs(self.path, mode=0o700)
            os.chmod(self.path, 0o700)
        except OSError as error:
            reason = error
        else:
            return True
        raise LocalTrouble(
            "store_failed",
            f"The Codex folder {self.path} cannot be made: {reason.strerror}.",
            "Mend that, or name another folder with --codex-home.",
        )
