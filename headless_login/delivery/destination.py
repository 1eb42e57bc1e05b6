"""Where credentials go: checked before the address is shown, written after the tokens are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.rules import Rules
from headless_login.errors import LocalTrouble

if TYPE_CHECKING:
    from headless_login.codex.auth_file import Credentials

Say = Callable[[str], object]  # takes one sentence for the person

IN_PLACE = "Note: auth.json could not be replaced by renaming, so it was written in place."


def _silence(_: str) -> None:
    return


class Destination(Protocol):
    """One place for credentials; a new kind is one class with these three members."""

    @property
    def name(self) -> str:
        """The place in words: what messages and the `signed_in` event name."""

    def check(self, say: Say = _silence) -> Rules:
        """Find out what can be known to fail before a code is spent, and return the rules there.

        Raises:
            SignInRefused: `login_method_not_allowed`.
            LocalTrouble: `store_failed`; credentials could not be stored.
        """

    def store(self, credentials: Credentials, say: Say = _silence) -> None:
        """Store the credentials, which replaces what was there.

        Raises:
            LocalTrouble: `store_failed`; the hint says where the credentials are instead.
        """


class CodexFolder(NamedTuple):
    """The Codex folder of this machine: its auth.json and its config.toml."""

    home: CodexHome

    @classmethod
    def find(cls, given: str | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the folder given, else `$CODEX_HOME`, else `~/.codex`; raises as `CodexHome`."""
        return cls(CodexHome.find(given, environ))

    @property
    def name(self) -> str:
        """The path of auth.json."""
        return self.home.auth_file

    def check(self, say: Say = _silence) -> Rules:
        """Make the folder if it is missing, and prove that auth.json could be written now."""
        rules = Rules.read(self.home)
        rules.check_method("chatgpt")
        if self.home.make():
            say(f"Made the Codex folder {self.home.path}.")
        check_writable(self.home)
        if rules.store_warning:
            say(f"Note: {rules.store_warning}")
        return rules

    def store(self, credentials: Credentials, say: Say = _silence) -> None:
        """Replace auth.json under Codex's locks, or else save the credentials in another file."""
        from headless_login.codex.auth_file import AuthFile, set_aside
        from headless_login.codex.locks import WAITING

        failed: LocalTrouble
        try:
            with AuthFile.locked(self.home, on_wait=lambda: say(WAITING)) as auth_file:
                if auth_file.store(credentials):
                    say(IN_PLACE)
                return
        except LocalTrouble as error:
            failed = error
        aside = set_aside(credentials)
        hint = (
            f"The new sign-in is safe in {aside}; fix that, then move it to {self.name}"
            if aside
            else "The new sign-in could not be saved anywhere else: fix that, and sign in again."
        )
        raise LocalTrouble("store_failed", failed.message, hint)
