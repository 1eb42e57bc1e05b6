"""The folder of the pending sign-ins: who may use it, what lies in it, and what is thrown away."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from headless_login.codex.home import CodexHome, make_private_folder
from headless_login.codex.locks import open_lock_file, try_lock
from headless_login.codex.ownership import is_root
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
        """Return the path of a sign-in's record, lock or mark."""
        return os.path.join(self.path, identifier + kind)

    def has(self, identifier: str, *kinds: str) -> bool:
        """Tell whether a sign-in has a file of one of these kinds."""
        return any(os.path.lexists(self.file(identifier, kind)) for kind in kinds)

    def identifiers(self) -> list[str]:
        """Return the names of all sign-ins that have a record."""
        return [name.removesuffix(RECORD) for name in self._names() if name.endswith(RECORD)]

    def latest(self) -> str:
        """Return the name of the sign-in that was begun, used up or expired last, if any."""
        times = {}
        for name in self._names():
            stem, kind = os.path.splitext(name)
            if kind in (RECORD, USED, EXPIRED):
                with suppress(OSError):
                    times[stem] = os.lstat(os.path.join(self.path, name)).st_mtime_ns
        return max(times, key=lambda stem: times[stem], default="")

    def make(self) -> None:
        """Make it (0700) if it is missing.

        Raises:
            LocalTrouble: `store_failed`; something in its place is not ours.
            OSError: it cannot be made.
        """
        with suppress(FileExistsError):
            make_private_folder(self.path)
        status = os.lstat(self.path)
        if not stat.S_ISDIR(status.st_mode):
            raise LocalTrouble("store_failed", f"{self.path} is no folder.", "Move it away.")
        if os.name != "posix":
            return
        if not self.is_ours(status):
            raise LocalTrouble(
                "store_failed", f"{self.path} belongs to another user.", "Move it away."
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(self.path, 0o700)

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
        descriptor = open_lock_file(self.file(identifier, LOCK))
        try:
            yield try_lock(descriptor)
        finally:
            os.close(descriptor)

    def end(self, identifier: str, mark: str) -> None:
        """Put a mark in the place of a sign-in; not even a full disk keeps it alive."""
        with signals_held():
            with suppress(OSError):
                os.close(os.open(self.file(identifier, mark), os.O_CREAT | os.O_WRONLY, 0o600))
            with suppress(OSError):
                os.unlink(self.file(identifier, RECORD))

    def sweep(self) -> None:
        """Throw away old marks and locks, and what somebody left behind who was killed."""
        for name in self._names():
            with suppress(OSError):
                path = os.path.join(self.path, name)
                age = time.time() - os.lstat(path).st_mtime
                if age > (_MARKS_STAY if name.endswith((USED, EXPIRED)) else _RUBBISH_STAYS):
                    os.unlink(path)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except OSError:
            return []
