"""A pending sign-in in the hands of the one process that finishes it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from headless_login.codex.pending import refusals
from headless_login.codex.pending.folder import EXPIRED, RECORD, USED, PendingFolder
from headless_login.codex.pending.record import Origin, PendingSignIn, write_record


@dataclass(frozen=True, slots=True)
class Claim:
    """A pending sign-in in the hands of one process."""

    folder: PendingFolder
    sign_in: PendingSignIn
    origin: Origin

    def use_up(self) -> None:
        """Have it used: the issuer has judged it, and will not do so again."""
        self.folder.end(self.sign_in.identifier, USED)

    def check(self) -> None:
        """Raise RejectedAnswer (`no_pending_login`) if somebody has signed out meanwhile."""
        if not self.folder.has(self.sign_in.identifier, RECORD):
            raise refusals.forgotten()

    def expire(self) -> None:
        """Have it expired: nobody can approve it any more."""
        self.folder.end(self.sign_in.identifier, EXPIRED)

    def keep(self, sign_in: PendingSignIn) -> None:
        """Keep what is known by now for a later call, if the disk takes it; its time goes on."""
        with suppress(OSError):
            self.check()
            self.folder.write(self.sign_in.identifier, write_record(sign_in, self.origin))

    @property
    def age(self) -> float:
        """The seconds since it was begun."""
        return self.origin.lifetime - self.sign_in.left
