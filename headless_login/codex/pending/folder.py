"""The folder of the pending sign-ins: who may use it, what lies in it, and what is thrown away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from headless_login.codex.home import CodexHome, make_private_folder
from headless_login.codex.locks import try_lock
from headless_login.codex.ownership import is_root
from headless_login.codex.pending.directory import TEMPORARY, Directory
from headless_login.codex.signals import signals_held
from headless_login.errors import LocalTrouble

FOLDER = ".headless-login"
RECORD, LOCK, USED, EXPIRED = ".json", ".lock", ".used", ".expired"
_MARKS_STAY = 86400.0  # seconds
_RUBBISH_STAYS = 2 * 86400.0  # longer than any sign-in can be pending


@dataclass(frozen=True, slots=True)
class PendingFolder:
    """The folder in one Codex home; everything in it is named by a sign-in's identifier."""

    home: CodexHome

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(self.home.path, FOLDER)

    def file(self, identifier: str, kind: str) -> str:
        """Return the path of a sign-in's record, lock or mark, to be named in a message."""
        return os.path.join(self.path, identifier + kind)

    def has(self, identifier: str, *kinds: str) -> bool:
        """Tell whether a sign-in has a file of one of these kinds."""
        with suppress(OSError), self._opened() as directory:
            return any(directory.has(identifier + kind) for kind in kinds)
        return False

    def identifiers(self) -> list[str]:
        """Return the names of all sign-ins that have a record."""
        names = self._names()
        return [name.removesuffix(RECORD) for name in names if name.endswith(RECORD)]

    def latest(self) -> str:
        """Return the name of the sign-in that was begun, used up or expired last, if any."""
        times = {}
        with suppress(OSError), self._opened() as directory:
            for name in directory.names():
                stem, kind = os.path.splitext(name)
                if kind in (RECORD, USED, EXPIRED):
                    with suppress(OSError):
                        times[stem] = directory.status_of(name).st_mtime_ns
        return max(times, key=lambda stem: times[stem], default="")

    def read(self, identifier: str) -> tuple[bytes, os.stat_result]:
        """Return a record; raises OSError."""
        with self._opened() as directory:
            return directory.read(identifier + RECORD)

    def write(self, identifier: str, content: bytes) -> None:
        """Put a record in the place of the one before; raises OSError."""
        with signals_held(), self._opened() as directory:
            directory.write(identifier + RECORD, content)

    def make(self) -> None:
        """Make it (0700) if it is missing.

        Raises:
            LocalTrouble: `store_failed`; something in its place is not ours.
            OSError: it cannot be made.
        """
        with suppress(FileExistsError):
            make_private_folder(self.path)
        with suppress(OSError), Directory.opened(self.path) as directory:
            if self.is_ours(directory.status()):
                directory.make_private()
                return
        raise LocalTrouble(
            "store_failed", f"{self.path} is no folder of this user's.", "Move it away."
        )

    def is_ours(self, status: os.stat_result) -> bool:
        """Tell whether a file is ours: in another user's folder root's files are that user's."""
        if os.name != "posix" or status.st_uid == os.geteuid():
            return True
        return is_root() and status.st_uid == os.stat(self.home.path).st_uid

    @contextmanager
    def locked(self, identifier: str) -> Iterator[bool]:
        """Hold the lock of a sign-in, and tell whether it was free; raises OSError.

        Its file stays: removed, it would let two processes hold "the" lock at once.
        """
        with self._opened() as directory:
            descriptor = directory.open_to_lock(identifier + LOCK)
        try:
            yield try_lock(descriptor)
        finally:
            os.close(descriptor)

    def end(self, identifier: str, mark: str) -> None:
        """Put a mark in the place of a sign-in; not even a full disk keeps it alive."""
        with signals_held(), suppress(OSError), self._opened() as directory:
            with suppress(OSError):
                directory.mark(identifier + mark)
            with suppress(OSError):
                directory.remove(identifier + RECORD)

    def forget(self, identifier: str) -> bool:
        """Remove a record, and tell whether there was one."""
        with suppress(OSError), self._opened() as directory:
            directory.remove(identifier + RECORD)
            return True
        return False

    def sweep(self, alive: set[str], *, halves_stay: float = _RUBBISH_STAYS) -> None:
        """Throw away old marks and locks, and what somebody left behind who was killed.

        What belongs to the sign-ins that are `alive` stays, whatever the clock says; so does
        everything that this program has not put there.
        """
        with suppress(OSError), self._opened() as directory:
            for name in directory.names():
                stem, kind = os.path.splitext(name)
                stays = _stays(name, kind, halves_stay)
                if stays is None or stem in alive:
                    continue
                with suppress(OSError):
                    if time.time() - directory.status_of(name).st_mtime >= stays:
                        self._throw_away(directory, name, stem, kind)

    def _throw_away(self, directory: Directory, name: str, stem: str, kind: str) -> None:
        if kind in (RECORD, LOCK) and directory.has(stem + LOCK):
            with self.locked(stem) as is_free:
                if is_free:
                    directory.remove(name)
        else:
            directory.remove(name)

    @contextmanager
    def _opened(self) -> Iterator[Directory]:
        """Open the folder if it is a folder, and ours."""
        with Directory.opened(self.path) as directory:
            if not self.is_ours(directory.status()):
                raise PermissionError(f"{self.path} belongs to another user")
            yield directory

    def _names(self) -> list[str]:
        with suppress(OSError), self._opened() as directory:
            return directory.names()
        return []


def _stays(name: str, kind: str, halves_stay: float) -> float | None:
    """Return for how many seconds a file of ours is kept; None for somebody else's."""
    if name.startswith(TEMPORARY):
        return halves_stay
    if kind in (USED, EXPIRED):
        return _MARKS_STAY
    return _RUBBISH_STAYS if kind in (RECORD, LOCK) else None
