"""Where Codex keeps its files, and whether a sign-in can be written there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from headless_login.codex.files import Folder
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.oauth.text import exported
from headless_login.typed import NamedTuple

FOLDER = ".headless-login"  # of ours, beside auth.json
JOURNAL, FAILURE = "refresh-journal", "refresh-failure"  # in it, see `journal`
_WRITTEN = (
    exported("CODEX_HOME", "C:\\Users\\YOU\\.codex")
    if sys.platform == "win32"
    else 'export CODEX_HOME="$HOME/.codex"'
)


class CodexHome(NamedTuple):
    """A Codex folder (`$CODEX_HOME`), as an absolute path."""

    path: str

    @classmethod
    def find(cls, given: str | None, environ: Mapping[str, str]) -> CodexHome:
        """Return the folder given, else `$CODEX_HOME`, else `~/.codex` (codex-facts.md §6).

        Raises:
            WrongUsage: an empty text is given.
            LocalTrouble: `store_failed`; the folder is not known.
        """
        if given is not None:
            if not given:  # a script's variable that is not set must not mean the default
                raise WrongUsage("--codex-home names no folder.")
            return cls(_absolute(os.path.expanduser(given), "--codex-home"))
        if chosen := environ.get("CODEX_HOME"):
            if chosen.partition("/")[0] == "~" and not os.path.isdir(chosen):
                raise LocalTrouble(
                    "store_failed",
                    "CODEX_HOME begins with a ~ that no shell has replaced, and Codex does not.",
                    f"For example: {_WRITTEN}",
                )
            return cls(_absolute(chosen, "CODEX_HOME"))  # Codex takes a `~` literally [seen]
        return cls(os.path.join(_user_folder(environ), ".codex"))

    @property
    def auth_file(self) -> str:
        """The file that holds the sign-in."""
        return os.path.join(self.path, "auth.json")

    @property
    def config_file(self) -> str:
        """The configuration of Codex."""
        return os.path.join(self.path, "config.toml")

    def own(self, name: str) -> str:
        """Return where a file of ours lies."""
        return os.path.join(self.path, FOLDER, name)

    def make(self) -> bool:
        """Make the folder (0700) if it is missing and return whether that was so.

        Raises:
            LocalTrouble: `store_failed`; it cannot be made, or something else is in its place.
        """
        if os.path.isdir(self.path):
            return False
        above, name = os.path.split(self.path)
        try:
            os.makedirs(above, exist_ok=True)
            with Folder.opened(above) as folder:
                made = folder.make_folder(name)
            if made or os.path.isdir(self.path):  # another sign-in may have been quicker
                return made
            reason = _explain(self.path, "it cannot be a folder")
        except OSError as error:
            where = os.path.join(above, os.fsdecode(error.filename or self.path))
            reason = _explain(where, error.strerror or type(error).__name__)
        raise LocalTrouble(
            "store_failed", f"The Codex folder {self.path} cannot be made: {reason}."
        )


def _absolute(path: str, source: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:
        pass
    raise LocalTrouble(
        "store_failed",
        "The present folder is gone.",
        f"Go to another one, or name the whole path with {source}.",
    )


def _user_folder(environ: Mapping[str, str]) -> str:
    """Return the user's folder; like Codex, from the list of users where HOME is empty."""
    if sys.platform == "win32":
        from headless_login.windows import profile_folder

        if found := profile_folder():
            return found
        raise LocalTrouble(
            "store_failed",
            "Your profile folder is not known to Windows.",
            "Set CODEX_HOME, or name a folder with --codex-home.",
        )
    if found := environ.get("HOME") or os.environ.get("HOME"):
        return os.path.abspath(found)
    import pwd

    with suppress(KeyError):
        return os.path.abspath(pwd.getpwuid(os.getuid()).pw_dir)
    raise LocalTrouble(
        "store_failed",
        "Your home folder is not known: HOME is not set, and the list of users does not have you.",
        "Set HOME or CODEX_HOME, or name a folder with --codex-home.",
    )


def _explain(where: str, otherwise: str) -> str:
    if os.path.islink(where):
        with suppress(OSError):  # Windows cannot always say where it leads
            return f"{where} is a link to {os.path.realpath(where)}, which is no folder"
    if os.path.lexists(where) and not os.path.isdir(where):
        return f"{where} is a file"
    return otherwise
