"""The sign-ins that a Codex folder has held: one is present in auth.json, the others are kept.

Each kept one has a file of its own in `.headless-login/accounts`. A switch keeps what is present,
replaces auth.json, and removes the copy of what is present now, all under Codex's locks. What a
kill between two of these steps leaves needs no journal: a kept copy of the account that is present
is stale, because Codex renews the tokens in auth.json and nothing renews those of a copy. It is
removed under the locks before anything else is done. Only a copy whose tokens are newer than those
in auth.json is none of a switch (an old auth.json was put back), and stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.files import Folder, read_owned
from headless_login.codex.home import CodexHome
from headless_login.codex.kept import (
    ACCOUNTS,
    SUFFIX,
    TAKES_NONE,
    Account,
    account_of,
    enter,
    free_name,
    read_kept,
    record,
)
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import left_overs, replace, signals_held, sweep
from headless_login.codex.stored import read_stored
from headless_login.errors import LocalTrouble
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self


class Listing(NamedTuple):
    """All sign-ins of a Codex folder: the present one, and the kept ones, the latest first.

    `stale` are files with copies of the present one, `unusable` sentences about files that cannot
    be used. `trouble` says why auth.json cannot be understood.
    """

    present: Account | None = None
    kept: tuple[Account, ...] = ()
    stale: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    trouble: LocalTrouble | None = None


class Replaced(NamedTuple):
    """What `Accounts.replace` has done: the sign-in that was there, if any, and what became of it.

    `in_place`: auth.json had to be written in place, as a mounted file. `same`: both are the same
    account's. `unreadable`: there was something that could not be understood.
    """

    account: Account | None
    kept: bool
    in_place: bool
    same: bool
    unreadable: bool


class Accounts:
    """The sign-ins of a Codex folder, under Codex's locks: what is read stays true until it ends.

    Every method raises OSError, which `locked` turns into a `store_failed`.
    """

    def __init__(self, home: CodexHome, auth_file: AuthFile, held: ExitStack) -> None:
        """`held` closes what is opened here."""
        self._home = home
        self._held = held
        self.auth_file = auth_file
        self.folder: Folder | None = None
        with suppress(OSError):
            self.folder = enter(home, held)
        self.listing = Listing()
        self._untidy: OSError | None = None
        self.tidy()

    @classmethod
    @contextmanager
    def locked(
        cls, home: CodexHome, *, on_wait: Callable[[], object] = lambda: None
    ) -> Iterator[Self]:
        """Hold Codex's locks for as long as the context lasts; as `AuthFile.locked`."""
        with AuthFile.locked(home, on_wait=on_wait) as auth_file, ExitStack() as held:
            yield cls(home, auth_file, held)

    def tidy(self) -> None:
        """Read everything anew, and remove what a kill has left: stale copies, temporary files."""
        self.listing = _list(self._home, self.folder, lambda _: self.auth_file.read())
        self._untidy = None
        self.auth_file.sweep()
        if self.folder is None:
            return
        sweep(self.folder)
        for file in self.listing.stale:
            try:
                self.folder.discard(file)
            except OSError as error:
                self._untidy = error

    def replace(
        self,
        credentials: Credentials,
        *,
        keep: bool = True,
        may_lose: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Replaced:
        """Put a sign-in into auth.json, and keep what was there, if it is another account's.

        `may_lose`: also where the folder takes no files, so that it cannot be kept. `clock` returns
        seconds since the epoch.

        Raises:
            LocalTrouble: `store_failed`; auth.json is what it was.
        """
        if self._untidy is not None:  # the copy could be taken for a kept one afterwards
            raise self._cannot_write(self._untidy)
        before, kept, unreadable = self.listing.present, False, self.listing.trouble is not None
        same = before is not None and _supersedes(account_of(credentials.content), before)
        with signals_held():
            try:
                if before is not None and keep and not same:
                    kept = self._keep(before, clock(), may_lose=may_lose)
                in_place = self.auth_file.store(credentials)
                # A file system that swallows a write must not pass for a sign-in.
                if self.auth_file.read()[0] != credentials.content:
                    path = self._home.auth_file
                    raise LocalTrouble("store_failed", f"{path} does not hold what was written.")
            finally:
                self.tidy()  # of what is present now, whichever it is, no copy stays
        return Replaced(before, kept, in_place, same, unreadable)

    def renew(self, account: Account, credentials: Credentials) -> None:
        """Put renewed tokens into a kept sign-in, which was present when they were asked for."""
        if self.folder is not None:
            replace(self.folder, account.file, record(credentials.content, account.last_present))

    def forget(self, account: Account) -> None:
        """Remove a kept sign-in."""
        if self.folder is not None:
            self.folder.discard(account.file)
            self.folder.sync()

    def _keep(self, account: Account, now: float, *, may_lose: bool) -> bool:
        """Keep a sign-in that is about to be replaced; returns whether that was possible.

        A newer copy of the same account is not overwritten.
        """
        if any(each.key == account.key for each in self.listing.kept):
            return True
        refused: OSError
        try:
            self.folder = enter(self._home, self._held, make=True)
            # Never earlier than another one, whatever the clock says: `use -` goes by the order.
            latest = max((each.last_present for each in self.listing.kept), default=0.0)
            content = record(account.content, max(now, latest + 1))
            replace(self.folder, free_name(self.folder, account.key), content)
            return True
        except OSError as error:
            if may_lose and error.errno in TAKES_NONE:
                return False
            refused = error
        raise self._cannot_write(refused)

    def _cannot_write(self, error: OSError) -> LocalTrouble:
        return cannot_write(self._home.own(ACCOUNTS), error)


def list_accounts(home: CodexHome, *, tidy: bool = True) -> Listing:
    """Return all sign-ins of a Codex folder; no lock is taken unless something has to be tidied.

    Without `tidy` nothing is changed in any case.
    """
    with ExitStack() as held:
        folder = None
        with suppress(OSError):
            folder = enter(home, held)
        listing = _list(home, folder, read_owned)
        if not tidy or (not listing.stale and not has_left_overs(home, folder)):
            return listing
    with suppress(LocalTrouble), Accounts.locked(home) as accounts:
        return accounts.listing
    return listing  # whatever cannot be removed now is not shown either


def has_left_overs(home: CodexHome, folder: Folder | None = None) -> bool:
    """Return whether a write that was killed has left a file, with secrets in it.

    Beside auth.json, or in `folder`.
    """
    with suppress(OSError), Folder.of(home.auth_file) as (beside, _):
        return any(left_overs(each) for each in (beside, folder) if each)
    return False


def _list(
    home: CodexHome, folder: Folder | None, read: Callable[[str], tuple[bytes, os.stat_result]]
) -> Listing:
    """Read what there is. The present one first: of what moves meanwhile, a copy is seen then."""
    present, trouble = None, None
    try:
        present = _present(home, read)
    except LocalTrouble as found:
        trouble = found.with_traceback(None)
    kept: list[Account] = []
    unusable: list[str] = []
    names: list[str] = []
    with suppress(OSError):
        names = sorted(folder.names()) if folder else []
    for name in names:
        if folder and name.endswith(SUFFIX):
            try:
                kept.append(read_kept(folder, name))
            except FileNotFoundError:
                continue  # moved meanwhile
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                unusable.append(f"{os.path.join(folder.path, name)} {why}; it is left alone.")
    stale = tuple(each.file for each in kept if present and _is_stale(each, present))
    kept = [each for each in kept if each.file not in stale]
    kept.sort(key=lambda each: each.last_present, reverse=True)
    return Listing(present, tuple(kept), stale, tuple(unusable), trouble)


def _present(
    home: CodexHome, read: Callable[[str], tuple[bytes, os.stat_result]]
) -> Account | None:
    contents: list[bytes] = []

    def watched(path: str) -> tuple[bytes, os.stat_result]:
        content, status = read(path)
        contents.append(content)
        return content, status

    stored = read_stored(home, read=watched)
    return Account(contents[-1], stored) if stored and stored.mode else None


def _supersedes(new: Account, old: Account) -> bool:
    """Return whether one is the same account's as another, and so takes its place.

    A copy without a refresh token, which ends with its access token, takes no full one's place.
    """
    is_full = bool(new.stored.refresh_token) or not old.stored.refresh_token
    return new.key == old.key and is_full


def _is_stale(kept: Account, present: Account) -> bool:
    """Return whether a kept one is a copy of the present one, and no newer than that."""
    if not _supersedes(present, kept):
        return False
    if present.stored.refresh_token and not kept.stored.refresh_token:
        return True
    ages = (kept.stored.issued_at, present.stored.issued_at)
    return ages[0] is None or ages[1] is None or ages[0] <= ages[1]
