"""Keeping pending attempts, finding them again, and letting one process at a time finish each."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress

from headless_login.codex.home import FOLDER, CodexHome
from headless_login.codex.pending.folder import EXPIRED, RECORD, USED, PendingFolder
from headless_login.codex.pending.record import (
    Damaged,
    Moment,
    Origin,
    identifier,
    read_record,
    write_record,
)
from headless_login.codex.preflight import cannot_write
from headless_login.errors import RejectedAnswer
from headless_login.oauth.attempt import Attempt
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

_AGAIN = "Start again: headless-login login start"
_SEE_STATUS = "headless-login login status"

# Why there is no pending attempt to be finished, and what to do. They are rejected answers: another
# one, to an attempt that is still pending, may be accepted.
_REFUSALS = {
    "nothing": (
        "No sign-in is pending in {}.",
        "Start one: headless-login login start (the same user, machine and Codex folder have to "
        "finish it).",
    ),
    "unknown": (
        "This answer belongs to no sign-in that was started here.",
        f"Finish it where it was started (--codex-home names the folder). {_AGAIN}",
    ),
    "used": (
        "This sign-in is used up: an earlier call has had its answer judged by the issuer.",
        f"See: {_SEE_STATUS}. To sign in once more, start again: headless-login login start",
    ),
    "forgotten": (
        "This sign-in was forgotten meanwhile: `headless-login logout` has removed it.",
        _AGAIN,
    ),
    "expired": ("This sign-in has expired.", f"{_AGAIN}, and finish in time."),
    "damaged": (
        "The file of this pending sign-in is damaged or was changed, so it is not used.",
        _AGAIN,
    ),
    "format": (
        "The file of this pending sign-in has the format {}, which this version does not know.",
        f"Finish it with the version that began it. {_AGAIN}",
    ),
    "exposed": (
        "Other users could read or change the file of this pending sign-in, so it is not used.",
        _AGAIN,
    ),
    "foreign": (
        "This sign-in was started {}, so it is not finished here.",
        f"Finish it there. {_AGAIN}",
    ),
    "busy": (
        "Another call is finishing this sign-in at this moment.",
        f"Wait for that one; then see: {_SEE_STATUS}",
    ),
}


def refusal(why: str, detail: str = "") -> RejectedAnswer:
    """Return the `no_pending_login` for one of the reasons; `detail` completes its sentence."""
    message, hint = _REFUSALS[why]
    return RejectedAnswer("no_pending_login", message.format(detail), hint)


class _Read(NamedTuple):
    """A record that was read, and what shows whether its file is still the same."""

    stamp: tuple[int, ...]
    attempt: Attempt
    origin: Origin


class PendingAttempts:
    """The pending attempts of one Codex home; its folder is opened once, each record read once."""

    def __init__(self, home: CodexHome, folder: PendingFolder, now: Callable[[], Moment]) -> None:
        """`now` returns the present moment."""
        self._home = home
        self._folder = folder
        self._now = now
        self._records: dict[str, _Read] = {}

    @classmethod
    @contextmanager
    def opened(cls, home: CodexHome, *, now: Callable[[], Moment] = Moment.now) -> Iterator[Self]:
        """Open the folder as it is; where there is none, no attempt is pending."""
        with PendingFolder.opened(home) as folder:
            yield cls(home, folder, now)

    @classmethod
    def keep(
        cls, home: CodexHome, attempt: Attempt, *, now: Callable[[], Moment] = Moment.now
    ) -> None:
        """Keep an attempt for as long as it is valid, and remove what no longer is.

        Raises:
            LocalTrouble: `store_failed`; it is not kept.
        """
        refused: OSError
        try:
            with PendingFolder.made(home) as folder:
                pending = cls(home, folder, now)
                folder.sweep(lambda name: pending.find(name) is not None)
                origin = pending._origin(attempt.left(now().wall))
                folder.write(identifier(attempt), write_record(attempt, origin))
                return
        except OSError as error:
            refused = error
        path = home.own(identifier(attempt) + RECORD)
        raise cannot_write(path, refused)

    def find(self, name: str) -> Attempt | None:
        """Return the attempt of that identifier, if it can be finished here and now."""
        with suppress(RejectedAnswer, OSError):
            return self._load(name)[0]
        return None

    def waiting(self, most: int | None = None) -> list[Attempt]:
        """Return what can be finished here and now, the newest first; of many the `most` newest."""
        found: list[tuple[Attempt, Origin]] = []
        for name in self._folder.identifiers() if most is None else self._folder.latest(RECORD):
            with suppress(RejectedAnswer, OSError):
                found.append(self._load(name))
            if len(found) == most:
                break
        found.sort(key=lambda pair: pair[1].moment.uptime, reverse=True)
        return [attempt for attempt, _ in found]

    @property
    def is_blank(self) -> bool:
        """Whether nothing was begun here of which a trace is left."""
        return not self._folder.latest()

    @property
    def latest_is_gone(self) -> bool:
        """Whether what was begun last is not pending any more."""
        return not self._folder.has(next(iter(self._folder.latest()), ""), RECORD)

    def knows(self, name: str) -> bool:
        """Return whether an attempt of that identifier was begun here, whatever became of it."""
        return self._folder.has(name, RECORD, USED, EXPIRED)

    def reason(self, name: str = "") -> RejectedAnswer:
        """Return why an attempt cannot be finished; without a name, the latest that was begun."""
        name = name or next(iter(self._folder.latest()), "")
        if not name:
            return refusal("nothing", self._home.path)
        try:
            self._load(name)
        except RejectedAnswer as refused:
            return refused.with_traceback(None)
        except OSError:
            return refusal("damaged")
        return refusal("busy")  # it can, now: another process let go of it meanwhile

    @contextmanager
    def claim(self, name: str) -> Iterator[Claim]:
        """Hold an attempt, so that no other process finishes it meanwhile.

        Raises:
            RejectedAnswer: `no_pending_login`, with the reason.
            LocalTrouble: `store_failed`; it cannot be locked.
        """
        if not self._folder.has(name, RECORD):
            raise self._gone(name)
        with ExitStack() as held:
            refused: OSError
            try:
                is_free = held.enter_context(self._folder.locked(name))
            except OSError as error:
                refused = error
            else:
                if not is_free:
                    raise refusal("busy")
                yield Claim(self._folder, *self._load(name))
                return
        raise cannot_write(os.path.join(self._home.path, FOLDER), refused)

    @contextmanager
    def claim_beside(self, claim: Claim) -> Iterator[None]:
        """Hold the address of the same sign-in, too, if there is one; raises as `claim`.

        So that of two processes with an answer to either one exchanges it.
        """
        with self.claim(claim.attempt.beside) if claim.attempt.beside else nullcontext():
            yield

    def check(self, name: str) -> None:
        """Raise RejectedAnswer (`no_pending_login`) if an attempt is not pending any more."""
        if not self._folder.has(name, RECORD):
            ended = self._folder.has(name, USED, EXPIRED)
            raise self._gone(name) if ended else refusal("forgotten")

    def forget(self, name: str) -> None:
        """Remove one pending attempt."""
        self._folder.forget(name)

    def forget_all(self) -> int:
        """Remove every pending attempt, and return how many there were."""
        count = sum(self._folder.forget(name) for name in self._folder.identifiers())
        self._folder.sweep(lambda _: False)
        return count

    def _load(self, name: str) -> tuple[Attempt, Origin]:
        """Return an attempt that may be finished here and now; raises as `claim`."""
        attempt, origin = self._read(name)
        here = self._origin(origin.lifetime)
        # A copy is refused, but not a folder that has another name in a container.
        if origin.target != here.target and origin.folder != here.folder:
            raise refusal("foreign", f"for another Codex folder, {origin.target}")
        passed = here.moment.since(origin.moment)
        if passed is None:
            raise refusal("foreign", f"on {origin.host}, or before this machine was restarted")
        if passed > origin.lifetime:
            self._folder.end(name, EXPIRED)
            raise refusal("expired")
        if attempt.beside and self._folder.has(attempt.beside, USED):
            self._folder.end(name, USED)  # the address of the same sign-in was answered
            raise refusal("used")
        return attempt._replace(expires_at=here.moment.wall + origin.lifetime - passed), origin

    def _read(self, name: str) -> tuple[Attempt, Origin]:
        """Return what a record says if it is ours, private and whole."""
        if self._folder.has(name, USED, EXPIRED):
            self._folder.forget(name)  # it came back: from a backup, or from a kill
            raise self._gone(name)
        try:
            status = self._folder.status(name)
        except OSError:
            raise self._gone(name) from None
        if not self._folder.is_ours(status):
            raise refusal("foreign", "by another user")
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            raise refusal("exposed")
        if name not in self._records or self._records[name].stamp != _stamp(status):
            self._records[name] = _Read(_stamp(status), *self._parsed(name, _stamp(status)))
        return self._records[name][1:]

    def _parsed(self, name: str, stamp: tuple[int, ...]) -> tuple[Attempt, Origin]:
        try:
            content, status = self._folder.read(name)
            attempt, origin = read_record(content)
            if identifier(attempt) == name and _stamp(status) == stamp:
                return attempt, origin
        except OSError:
            raise self._gone(name) from None
        except Damaged as damaged:
            unknown = damaged.format  # raised below, without its cause
            raise refusal("damaged" if unknown is None else "format", str(unknown)) from None
        raise refusal("damaged")

    def _gone(self, name: str) -> RejectedAnswer:
        if self._folder.has(name, USED):
            return refusal("used")
        if self._folder.has(name, EXPIRED):
            return refusal("expired")
        if self._folder.has(name, RECORD):
            return refusal("damaged")  # it is there and cannot be read
        return refusal("unknown")

    def _origin(self, lifetime: float) -> Origin:
        return Origin(*self._folder.origin(), _host(), self._now(), lifetime)


class Claim(NamedTuple):
    """A pending attempt that this process alone finishes."""

    folder: PendingFolder
    attempt: Attempt
    origin: Origin

    def use_up(self) -> None:
        """Mark it as used: the issuer has judged its answer, and will not do so again.

        The address of the same sign-in with it.
        """
        for name in filter(None, (identifier(self.attempt), self.attempt.beside)):
            self.folder.end(name, USED)

    def end_code(self) -> None:
        """Mark a one-time code as used: it is denied or lost, and its address is not."""
        self.folder.end(identifier(self.attempt), USED)

    def check(self) -> None:
        """Raise RejectedAnswer (`no_pending_login`) if a `logout` has removed it meanwhile."""
        if not self.folder.has(identifier(self.attempt), RECORD):
            raise refusal("forgotten")

    def expire(self) -> None:
        """Mark it as expired: its code cannot be approved any more."""
        self.folder.end(identifier(self.attempt), EXPIRED)

    def keep(self, attempt: Attempt) -> None:
        """Keep what is known by now for a later call, if the disk takes it; its time goes on."""
        with suppress(OSError):
            self.check()
            self.folder.write(identifier(self.attempt), write_record(attempt, self.origin))

    def age(self, now: float) -> float:
        """Return the seconds since it was begun; `now` in seconds since the epoch."""
        return self.origin.lifetime - self.attempt.left(now)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    changed = status.st_ctime_ns if os.name == "posix" else 0  # on Windows two calls differ in it
    return status.st_ino, status.st_size, status.st_mtime_ns, changed


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
