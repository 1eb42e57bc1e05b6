"""Where credentials go: checked before the address is shown, written after the tokens are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.rules import WAY_OF_MODE, Rules
from headless_login.codex.verdict import (
    environment_obstacle,
    notes,
    steps_before_use,
    store_obstacle,
)
from headless_login.errors import LocalTrouble, SignInRefused
from headless_login.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import Self

    from headless_login.codex.accounts import Replaced
    from headless_login.codex.auth_file import Credentials
    from headless_login.codex.stored import StoredSignIn
    from headless_login.delivery.target import Replacing

Say = Callable[[str], object]  # takes one sentence for the person

IN_PLACE = "Note: auth.json could not be replaced by renaming, so it was written in place."
KEPT = "kept: headless-login accounts"


def silence(_: str) -> None:
    """Take a sentence that nobody is to hear."""


class Destination(Protocol):
    """One place for credentials; a new kind is one class with these four members."""

    @property
    def name(self) -> str:
        """The path of auth.json: what messages and the `signed_in` event name."""

    def check(self, say: Say = silence, *, method: str = "chatgpt") -> Rules:
        """Find out what can be known to fail before a code is spent, and return the rules there.

        `method` is the way to sign in: `chatgpt` (an access token, too) or `api`.

        Raises:
            SignInRefused: `login_method_not_allowed`.
            LocalTrouble: `store_failed` or `store_not_used`; credentials could not be stored, or
                Codex would not look at them.
        """

    def store(self, credentials: Credentials, say: Say = silence) -> StoredSignIn | None:
        """Store the credentials, which replaces what was there.

        Returns what was replaced, if it is to be revoked now; a place of another kind returns None.

        Raises:
            LocalTrouble: `store_failed`; the hint says where the credentials are instead.
        """

    def steps_before_use(self, rules: Rules) -> list[str]:
        """Return what has to be done there before Codex uses the credentials; often nothing."""


class CodexFolder(NamedTuple):
    """The Codex folder of this machine: its auth.json, and what decides whether it is used.

    `store_anyway`: also where Codex does not look at auth.json. `revoke_old`: what is replaced is
    not kept, but to be revoked. As a `target` it is a folder of somebody else's, `replacing` what
    may be there.
    """

    home: CodexHome
    environ: Mapping[str, str] = os.environ
    store_anyway: bool = False
    revoke_old: bool = False
    target: str = ""
    replacing: Replacing | None = None

    @classmethod
    def find(cls, given: str | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the folder given, else `$CODEX_HOME`, else `~/.codex`; raises as `CodexHome`."""
        return cls(CodexHome.find(given, environ), environ)

    @property
    def name(self) -> str:
        """The path of auth.json."""
        return self.home.auth_file

    def check(self, say: Say = silence, *, method: str = "chatgpt") -> Rules:
        """Make the folder if it is missing, and prove that auth.json could be written and used."""
        rules = Rules.read(self.home)
        rules.check_method(method)
        if rules.credential_store != "file":
            self._check_store(rules, say)
        if self.home.make():
            say(f"Made the Codex folder {self.home.path}.")
        check_writable(self.home)
        if self.replacing:
            from headless_login.codex.accounts import list_accounts

            present = list_accounts(self.home, tidy=False).present
            self.replacing.check_before(present, self.target, method, say)
            return rules
        if replaced := self._present():
            say(f"This replaces the sign-in with {replaced}{self._fate()}.")
        if found := environment_obstacle(self.environ, rules):
            say(f"Note: {found.message} Before Codex uses this sign-in: {found.remedy}")
        for text in notes(self.home, rules, self.environ):
            say(f"Note: {text}")
        return rules

    def _fate(self) -> str:
        """Return what becomes of the sign-in that is replaced, if it can be known."""
        from headless_login.codex.kept import can_keep

        if self.revoke_old:
            return ", which is revoked then"
        if not can_keep(self.home):
            return ", which cannot be kept: this folder takes no files"
        return f" (if it is another account's, {KEPT})"

    def _present(self) -> str:
        """Return what the present sign-in is made with, if there is one that can be read."""
        if not os.path.lexists(self.name):
            return ""
        from headless_login.codex.stored import described, read_stored

        with suppress(LocalTrouble):
            stored = read_stored(self.home)
            return described(stored) if stored and stored.mode else ""
        return ""

    def check_switch(self, stored: StoredSignIn) -> Rules:
        """Return the rules if the Codex here would use this sign-in, were it made present.

        A forbidden one it would remove (codex-facts.md section 10).

        Raises:
            SignInRefused: `login_method_not_allowed` or `workspace_not_allowed`.
            LocalTrouble: `store_not_used`.
        """
        rules = Rules.read(self.home)
        rules.check_method(WAY_OF_MODE.get(stored.mode or "", "chatgpt"))
        if stored.has_workspace and not rules.allows_workspace(stored.workspace_id):
            raise SignInRefused(
                "workspace_not_allowed",
                f"{rules.workspace_source} does not allow the workspace of that sign-in, which "
                "Codex would not use. Nothing was changed.",
                "Have that setting changed first.",
            )
        if found := store_obstacle(self.home, rules, self.environ):
            raise LocalTrouble("store_not_used", found.message, found.remedy)
        return rules

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

    def has_file(self, name: str) -> bool:
        """Return whether the folder has a file of that name."""
        return os.path.lexists(os.path.join(self.home.path, name))

    def deliver(self, content: bytes, say: Say = silence) -> None:
        """Put a copy of an auth.json here, under Codex's locks; another account's is kept."""
        from headless_login.codex.auth_file import Credentials

        self._put(Credentials(content), say)

    def _put(self, credentials: Credentials, say: Say) -> Replaced:
        from headless_login.codex.accounts import Accounts
        from headless_login.codex.journal import no_refresh
        from headless_login.codex.kept import account_of
        from headless_login.codex.locks import WAITING

        with (
            no_refresh(self.home, say),
            Accounts.locked(self.home, on_wait=lambda: say(WAITING)) as accounts,
        ):
            if self.replacing:
                new, present = account_of(credentials.content), accounts.listing.present
                self.replacing.check(present, new, self.target)
            return accounts.replace(credentials, keep=not self.revoke_old, may_lose=True)

    def store(self, credentials: Credentials, say: Say = silence) -> StoredSignIn | None:
        """Replace auth.json under Codex's locks, or else save the credentials in another file.

        Another account's sign-in is kept, or returned with `revoke_old`.
        """
        from headless_login.codex.auth_file import set_aside

        failed: LocalTrouble
        try:
            replaced = self._put(credentials, say)
        except LocalTrouble as error:
            failed = error
        else:
            return self._told(replaced, say)
        if not credentials.comes_once:
            raise failed
        aside = set_aside(credentials)
        hint = (
            f"The new sign-in is safe in {aside}; fix that, then move it to {self.name}"
            if aside
            else "The new sign-in could not be saved anywhere else: fix that, and sign in again."
        )
        raise LocalTrouble("store_failed", failed.message, hint)

    def _told(self, replaced: Replaced, say: Say) -> StoredSignIn | None:
        """Say what was replaced, and return it if it has to be revoked."""
        from headless_login.codex.stored import described

        if replaced.in_place:
            say(IN_PLACE)
        if replaced.unreadable:
            say(f"What was in {self.name} could not be understood, so it is not kept.")
        if replaced.account is None:
            return None
        if not replaced.same:
            name = described(replaced.account.stored)
            say(f"Replaced the sign-in with {name}{f' ({KEPT})' if replaced.kept else ''}.")
            tell_running(self.home, replaced.account.stored, say)
        return replaced.account.stored if self.revoke_old else None


def tell_running(home: CodexHome, stored: StoredSignIn, say: Say) -> None:
    """Name the Codexes that still run with what was replaced (codex-facts.md section 13)."""
    from headless_login.codex.running import running_codexes
    from headless_login.codex.stored import described

    if found := running_codexes(home):
        codexes = f"A Codex is running (process {', '.join(map(str, found))})"
        say(f"Note: {codexes} and stays with {described(stored)} until it is started anew.")
