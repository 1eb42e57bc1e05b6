"""The opened folder of the pending attempts: who may use it, what lies in it, what is swept."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from headless_login.codex.files import Folder, try_lock
from headless_login.codex.home import FOLDER, CodexHome
from headless_login.codex.links import is_root
from headless_login.codex.replace import replace, signals_held
from headless_login.errors import LocalTrouble
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

RECORD, LOCK, USED, EXPIRED = ".json", ".lock", ".used", ".expired"
_UNFINISHED = ".new"  # a record that is being written, under its lock
# For how many seconds files of ours are kept; no attempt can be pending for longer than two days.
_MAY_EXPIRE = 900.0  # seconds, as a rule; before, no record is read for that
_MOST_SWEPT = 500
_STAY = {USED: 86400.0, EXPIRED: 86400.0, RECORD: 172800.0, LOCK: 172800.0, _UNFINISHED: 0.0}


class PendingFolder:
    """The folder in one Codex home; everything in it is named by an attempt's identifier.

    Where there is none, or it is not ours, it is an empty one.
    """

    def __init__(self, home: Folder | None, folder: Folder | None) -> None:
        """`home` is the opened Codex folder, `folder` the one in it, if it is ours."""
        self._home = home
        self._folder = folder

    @classmethod
    @contextmanager
    def opened(cls, home: CodexHome) -> Iterator[Self]:
        """Open it, if it is there and ours."""
        with our_folder(home) as (parent, folder):
            yield cls(parent, folder)

    @classmethod
    @contextmanager
    def made(cls, home: CodexHome) -> Iterator[Self]:
        """Open it, and make it (0700) if it is missing.

        Raises:
            LocalTrouble: `store_failed`; something in its place is not ours.
            OSError: it cannot be made.
        """
        with our_folder_made(home) as (parent, folder):
            yield cls(parent, folder)

    def origin(self) -> tuple[str, tuple[int, int]]:
        """Return path and identity (device, inode) of the Codex home that was opened."""
        if self._home is None:
            return "", (0, 0)
        status = self._home.status()
        return self._home.path, (status.st_dev, status.st_ino)

    def is_ours(self, status: os.stat_result) -> bool:
        """Return whether a file is ours: in another user's folder root's are that user's."""
        return self._home is not None and _is_ours(status, self._home)

    def has(self, identifier: str, *kinds: str) -> bool:
        """Return whether an attempt has a file of one of these kinds."""
        return any(self._folder and self._folder.has(identifier + kind) for kind in kinds)

    def identifiers(self) -> list[str]:
        """Return the names of all attempts that have a record."""
        return [name.removesuffix(RECORD) for name in self._names() if name.endswith(RECORD)]

    def latest(self, *kinds: str) -> list[str]:
        """Return the names of the attempts that have a file of one of these kinds, newest first.

        Without kinds: those that were begun, used up or expired.
        """
        times: dict[str, int] = {}
        for name in self._names():
            stem, kind = os.path.splitext(name)
            if kind in (kinds or (RECORD, USED, EXPIRED)):
                with suppress(OSError):
                    times[stem] = max(times.get(stem, 0), self._there.status_of(name).st_mtime_ns)
        return sorted(times, key=lambda stem: times[stem], reverse=True)

    def status(self, identifier: str) -> os.stat_result:
        """Return the status of a record; raises OSError."""
        return self._there.status_of(identifier + RECORD)

    def read(self, identifier: str) -> tuple[bytes, os.stat_result]:
        """Return a record and its status; raises OSError."""
        return self._there.read(identifier + RECORD)

    def write(self, identifier: str, content: bytes) -> None:
        """Replace a record, or make it; raises OSError."""
        with self.locked(identifier):  # unless the caller has locked it already
            temporary = identifier + _UNFINISHED
            with suppress(OSError):
                self._there.discard(temporary)  # of a process that was killed
            replace(self._there, identifier + RECORD, content, temporary=temporary)

    @contextmanager
    def locked(self, identifier: str) -> Iterator[bool]:
        """Hold the lock of an attempt, and yield whether it was free; raises OSError.

        Its file stays: removed, it would let two processes hold "the" lock at once.
        """
        descriptor = self._there.open_to_lock(identifier + LOCK)
        try:
            yield try_lock(descriptor)
        finally:
            os.close(descriptor)

    def end(self, identifier: str, mark: str) -> None:
        """Replace an attempt by a mark; not even a full disk keeps it alive."""
        with signals_held(), suppress(OSError):
            with suppress(OSError):
                self._there.mark(identifier + mark)
            self._there.discard(identifier + RECORD)

    def forget(self, identifier: str) -> bool:
        """Remove a record, and return whether there was one."""
        with suppress(OSError):
            self._there.discard(identifier + RECORD)
            return True
        return False

    def sweep(
        self,
        is_alive: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Remove old marks and locks, and what a process that was killed left behind.

        What belongs to an attempt that `is_alive` stays, whatever the clock says; so does
        everything that this program has not put there. Of very many files some are looked at now
        and others another time, but for what may hold a secret.
        """
        names = self._names()
        begin = int(clock()) % len(names) if len(names) > _MOST_SWEPT else 0
        some = {*names[begin : begin + _MOST_SWEPT]}
        for name in names:
            stem, kind = os.path.splitext(name)
            stays = _STAY.get(kind)
            if stays is None or (kind != _UNFINISHED and name not in some):
                continue
            with suppress(OSError):
                age = clock() - self._there.status_of(name).st_mtime
                if age < (_MAY_EXPIRE if kind == RECORD else stays):
                    continue
                # Asked, a record that has expired is marked so, and is gone.
                if (kind == _UNFINISHED or not is_alive(stem)) and age >= stays:
                    self._sweep_away(name, stem, kind)

    def _sweep_away(self, name: str, stem: str, kind: str) -> None:
        if kind in (RECORD, LOCK, _UNFINISHED) and self._there.has(stem + LOCK):
            with self.locked(stem) as is_free:
                if is_free and (kind != LOCK or sys.platform != "win32"):
                    self._there.discard(name)
            if is_free and kind == LOCK and sys.platform == "win32":
                self._there.discard(name)  # now that it is closed here; not if it is open elsewhere
        else:
            self._there.discard(name)

    @property
    def _there(self) -> Folder:
        if self._folder is None:
            raise FileNotFoundError(FOLDER)
        return self._folder

    def _names(self) -> list[str]:
        with suppress(OSError):
            return self._there.names()
        return []


@contextmanager
def our_folder(home: CodexHome) -> Iterator[tuple[Folder | None, Folder | None]]:
    """Open a Codex home, and the folder of ours in it; None for what is not there, or not ours."""
    with ExitStack() as held:
        parent = folder = None
        with suppress(OSError):
            parent = held.enter_context(Folder.opened(home.path))
            folder = enter_own(parent, FOLDER, held)
        yield parent, folder


@contextmanager
def our_folder_made(home: CodexHome) -> Iterator[tuple[Folder, Folder]]:
    """Open both, and make ours (0700) if it is missing; raises as `PendingFolder.made`."""
    with ExitStack() as held:
        parent = held.enter_context(Folder.opened(home.path))
        yield parent, make_own(parent, FOLDER, held)


def enter_own(above: Folder, name: str, held: ExitStack) -> Folder | None:
    """Open a folder in another one for as long as `held` is; None if it is not ours.

    Raises:
        OSError: there is none.
    """
    folder = held.enter_context(above.below(name))
    return folder if _is_ours(folder.status(), above) else None


def make_own(above: Folder, name: str, held: ExitStack) -> Folder:
    """Open a folder in another one for as long as `held` is, and make it (0700) if it is missing.

    Raises:
        LocalTrouble: `store_failed`; something in its place is not ours.
        OSError: it cannot be made.
    """
    above.make_folder(name)
    folder = None
    with suppress(OSError):
        folder = enter_own(above, name, held)
    if folder is None:
        raise not_ours(os.path.join(above.path, name))
    folder.make_private()
    return folder


def not_ours(path: str) -> LocalTrouble:
    """Return the `store_failed` for what stands in the place of a folder of ours."""
    return LocalTrouble("store_failed", f"{path} is no folder of this user's.", "Move it away.")


def _is_ours(status: os.stat_result, home: Folder) -> bool:
    if sys.platform == "win32" or status.st_uid == os.geteuid():
        return True
    return is_root() and status.st_uid == home.status().st_uid
