"""Where credentials go: checked before the address is shown, written after the tokens are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.rules import Rules
from headless_login.codex.verdict import (
    environment_obstacle,
    notes,
    steps_before_use,
    store_obstacle,
)
from headless_login.errors import LocalTrouble

if TYPE_CHECKING:
    from headless_login.codex.auth_file import AuthFile, Credentials

Say = Callable[[str], object]  # takes one sentence for the person

IN_PLACE = "Note: auth.json could not be replaced by renaming, so it was written in place."


def _silence(_: str) -> None:
    return


class Destination(Protocol):
    """One place for credentials; a new kind is one class with these four members."""

    @property
    def name(self) -> str:
        """The place in words: what messages and the `signed_in` event name."""

    def check(self, say: Say = _silence, *, method: str = "chatgpt") -> Rules:
        """Find out what can be known to fail before a code is spent, and return the rules there.

        `method` is the way to sign in: `chatgpt` (an access token, too) or `api`.

        Raises:
            SignInRefused: `login_method_not_allowed`.
            LocalTrouble: `store_failed` or `store_not_used`; credentials could not be stored, or
                Codex would not look at them.
        """

    def store(self, credentials: Credentials, say: Say = _silence) -> None:
        """Store the credentials, which replaces what was there.

        Raises:
            LocalTrouble: `store_failed`; the hint says where the credentials are instead.
        """

    def steps_before_use(self, rules: Rules) -> list[str]:
        """Return what has to be done there before Codex uses the credentials; often nothing."""


class CodexFolder(NamedTuple):
    """The Codex folder of this machine: its auth.json, and what decides whether it is used.

    `store_anyway`: also where Codex does not look at auth.json.
    """

    home: CodexHome
    environ: Mapping[str, str] = os.environ
    store_anyway: bool = False

    @classmethod
    def find(cls, given: str | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the folder given, else `$CODEX_HOME`, else `~/.codex`; raises as `CodexHome`."""
        return cls(CodexHome.find(given, environ), environ)

    @property
    def name(self) -> str:
        """The path of auth.json."""
        return self.home.auth_file

    def check(self, say: Say = _silence, *, method: str = "chatgpt") -> Rules:
        """Make the folder if it is missing, and prove that auth.json could be written and used."""
        rules = Rules.read(self.home)
        rules.check_method(method)
        if rules.credential_store != "file":
            self._check_store(rules, say)
        if replaced := self._present():
            say(f"This replaces the sign-in with {replaced}.")
        if self.home.make():
            say(f"Made the Codex folder {self.home.path}.")
        check_writable(self.home)
        if found := environment_obstacle(self.environ, rules):
            say(f"Note: {found.message} Before Codex uses this sign-in: {found.remedy}")
        for text in notes(self.home, rules, self.environ):
            say(f"Note: {text}")
        return rules

    def _present(self) -> str:
        """Return what the present sign-in is made with, if there is one that can be read."""
        if not os.path.lexists(self.name):
            return ""
        from headless_login.codex.stored import described, read_stored

        with suppress(LocalTrouble):
            stored = read_stored(self.home)
            return described(stored) if stored and stored.mode else ""
        return ""

    def _check_store(self, rules: Rules, say: Say) -> None:
        found = store_obstacle(self.home, rules, self.environ)
        if found and not self.store_anyway:
            raise LocalTrouble(
                "store_not_used",
                found.message,
                f"{found.remedy} Or sign in all the same with --store-anyway.",
            )
        if found:
            say(f"Note: {found.message}")

    def steps_before_use(self, rules: Rules) -> list[str]:
        """Return what has to be done before the Codex of this machine uses auth.json."""
        return steps_before_use(self.home, rules, self.environ)

    def store(self, credentials: Credentials, say: Say = _silence) -> None:
        """Replace auth.json under Codex's locks, or else save the credentials in another file."""
        from headless_login.codex.auth_file import AuthFile, set_aside
        from headless_login.codex.journal import no_refresh
        from headless_login.codex.locks import WAITING

        failed: LocalTrouble
        try:
            with (
                no_refresh(self.home, say),
                AuthFile.locked(self.home, on_wait=lambda: say(WAITING)) as auth_file,
            ):
                replaced = _replaced(auth_file, credentials)
                if auth_file.store(credentials):
                    say(IN_PLACE)
                if auth_file.read() == credentials.content:
                    if replaced:
                        say(f"Replaced the sign-in with {replaced}.")
                    return
            # A file system that swallows a write must not pass for a sign-in.
            failed = LocalTrouble("store_failed", f"{self.name} does not hold what was written.")
        except LocalTrouble as error:
            failed = error
        if not credentials.comes_once:
            raise failed
        aside = set_aside(credentials)
        hint = (
            f"The new sign-in is safe in {aside}; fix that, then move it to {self.name}"
            if aside
            else "The new sign-in could not be saved anywhere else: fix that, and sign in again."
        )
        raise LocalTrouble("store_failed", failed.message, hint)


def _replaced(auth_file: AuthFile, credentials: Credentials) -> str:
    """Return what somebody else's sign-in, which is about to be replaced, is made with."""
    from headless_login.codex.stored import described, interpret, is_same

    with suppress(OSError, ValueError):
        before, after = interpret(auth_file.read()), interpret(credentials.content)
        return described(before) if before.mode and not is_same(before, after) else ""
    return ""
