"""Keeping pending sign-ins, finding them again, and letting one process at a time finish each."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from headless_login.codex.home import CodexHome
from headless_login.codex.moment import Moment
from headless_login.codex.pending import refusals
from headless_login.codex.pending.claim import Claim
from headless_login.codex.pending.folder import EXPIRED, RECORD, USED, PendingFolder
from headless_login.codex.pending.record import (
    Damaged,
    Origin,
    PendingSignIn,
    read_record,
    write_record,
)
from headless_login.codex.preflight import cannot_write
from headless_login.errors import RejectedAnswer


class PendingSignIns:
    """The pending sign-ins of one Codex home."""

    def __init__(self, home: CodexHome, *, now: Callable[[], Moment] = Moment.now) -> None:
        """Take the Codex home, and what returns the present moment."""
        self._home = home
        self._now = now
        self._folder = PendingFolder(home)

    def add(self, sign_in: PendingSignIn) -> None:
        """Keep a sign-in for as long as it is valid (`left`); what no longer is, goes.

        Raises:
            LocalTrouble: `store_failed`; it is not kept.
        """
        path = self._folder.file(sign_in.identifier, RECORD)
        refused: OSError
        try:
            self._folder.make()
            self._folder.sweep({each.identifier for each in self.waiting()})
            record = write_record(sign_in, self._origin(sign_in.left))
            self._folder.write(sign_in.identifier, record)
        except OSError as error:
            refused = error
        else:
            return
        raise cannot_write(path, refused)

    def waiting(self) -> list[PendingSignIn]:
        """Return what can be finished here and now, the newest first."""
        found = []
        for identifier in self._folder.identifiers():
            with suppress(RejectedAnswer, OSError):
                found.append(self._load(identifier))
        found.sort(key=lambda pair: pair[1].moment.uptime, reverse=True)
        return [sign_in for sign_in, _ in found]

    @property
    def is_blank(self) -> bool:
        """Whether nothing was begun here of which anybody still knows."""
        return not self._folder.latest()

    def knows(self, identifier: str) -> bool:
        """Tell whether a sign-in of that name was begun here, whatever became of it."""
        return self._folder.has(identifier, RECORD, USED, EXPIRED)

    def reason(self, identifier: str = "") -> RejectedAnswer:
        """Return why a sign-in cannot be finished; without a name, the latest that was begun."""
        name = identifier or self._folder.latest()
        if not name:
            return refusals.nothing(self._home.path)
        try:
            self._load(name)
        except RejectedAnswer as refused:
            return refused.with_traceback(None)
        except OSError:
            return refusals.damaged()
        return refusals.busy()  # it can, now: whoever asks has been overtaken

    @contextmanager
    def claim(self, identifier: str) -> Iterator[Claim]:
        """Hold a sign-in, so that nobody else finishes it meanwhile.

        Raises:
            RejectedAnswer: `no_pending_login`, with the reason.
            LocalTrouble: `store_failed`; it cannot be locked.
        """
        if not self._folder.has(identifier, RECORD):
            raise self._gone(identifier)
        with ExitStack() as held:
            refused: OSError
            try:
                is_free = held.enter_context(self._folder.locked(identifier))
            except OSError as error:
                refused = error
            else:
                if not is_free:
                    raise refusals.busy()
                yield Claim(self._folder, *self._load(identifier))
                return
        raise cannot_write(self._folder.path, refused)

    def forget_all(self) -> int:
        """Remove every pending sign-in, and return how many there were."""
        count = 0
        for identifier in self._folder.identifiers():
            count += self._folder.forget(identifier)
        self._folder.sweep(set(), halves_stay=0.0)
        return count

    def _load(self, identifier: str) -> tuple[PendingSignIn, Origin]:
        """Return a sign-in that may be finished here and now; raises as `claim`."""
        sign_in, origin = self._read(identifier)
        here = self._origin(origin.lifetime)
        # A copy is refused, but not a folder that has another name in a container.
        if origin.target != here.target and origin.folder != here.folder:
            raise refusals.foreign(f"for another Codex folder, {origin.target}")
        passed = here.moment.since(origin.moment)
        if passed is None:
            raise refusals.foreign(f"on {origin.host}, or before this machine was restarted")
        if passed > origin.lifetime:
            self._folder.end(identifier, EXPIRED)
            raise refusals.expired()
        return replace(sign_in, left=origin.lifetime - passed), origin

    def _read(self, identifier: str) -> tuple[PendingSignIn, Origin]:
        """Return what a record says if it is ours, private and whole."""
        if self._folder.has(identifier, USED, EXPIRED):
            self._folder.forget(identifier)  # it came back: from a backup, or from a kill
            raise self._gone(identifier)
        try:
            content, status = self._folder.read(identifier)
        except OSError:
            raise self._gone(identifier) from None
        if not self._folder.is_ours(status):
            raise refusals.foreign("by another user")
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            raise refusals.exposed()
        with suppress(Damaged):
            sign_in, origin = read_record(content)
            if sign_in.identifier == identifier:
                return sign_in, origin
        raise refusals.damaged()

    def _gone(self, identifier: str) -> RejectedAnswer:
        if self._folder.has(identifier, USED):
            return refusals.used()
        if self._folder.has(identifier, EXPIRED):
            return refusals.expired()
        if self._folder.has(identifier, RECORD):
            return refusals.damaged()  # it is there and cannot be read
        return refusals.unknown()

    def _origin(self, lifetime: float) -> Origin:
        status = os.stat(self._home.path)
        path = os.path.realpath(self._home.path)
        identity = (status.st_dev, status.st_ino)
        return Origin(path, identity, _host(), self._now(), lifetime)


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
