"""Codex's two locks, taken in Codex's order (codex-facts.md §6): auth.lock, then auth.json.lock.

The lock files stay where they are, as Codex leaves them: removing one would let two programs
hold "the" lock at once. Neither may be held while a server is asked: Codex waits for the first
without end, and gives up on the second after 5 seconds.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.ownership import give_to_owner
from headless_login.codex.reading import UNBLOCKED
from headless_login.codex.replace import target_of
from headless_login.errors import LocalTrouble

PATIENCE = 30.0  # seconds; Codex holds them for as long as it takes to read and write a file
_PAUSE = 0.05

WAITING = "Waiting for another program, probably Codex, to let go of auth.json…"

# A folder that cannot hold lock files (read-only, or a file system without locks) cannot hold
# Codex's either: there is nobody to wait for.
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOCKLESS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}


def lock_files(home: CodexHome) -> tuple[str, str]:
    """Return both files in Codex's order; the second lies beside what auth.json finally names.

    So two folders that share a sign-in by symbolic links share its lock as well, as in Codex
    0.169.0 [seen]: `creds.json` and `creds.v1` alike are locked by `creds.json.lock`.

    Raises:
        OSError: auth.json is nothing that can be replaced.
    """
    stem = os.path.splitext(target_of(home.auth_file))[0]
    return os.path.join(home.path, "auth.lock"), f"{stem}.json.lock"


@contextmanager
def codex_locks(
    home: CodexHome,
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold both locks; calls `on_wait` once if somebody else holds one.

    Raises:
        LocalTrouble: `store_failed`; a lock was not free within `patience` seconds, or cannot be.
        OSError: auth.json is nothing that can be replaced.
    """
    deadline = clock() + patience
    with ExitStack() as held:
        for path in lock_files(home):
            descriptor = _open(path)
            if descriptor is None:
                continue
            held.callback(os.close, descriptor)
            while not try_lock(descriptor):
                on_wait()
                on_wait = _silence
                if clock() >= deadline:
                    raise LocalTrouble(
                        "store_failed",
                        f"Another program has held {path} for {patience:.0f} seconds.",
                        "Close Codex there and try again.",
                    )
                sleep(_PAUSE)
        yield


def check_lockable(home: CodexHome) -> None:
    """Raise the LocalTrouble that taking the locks would raise, without making or taking any."""
    for path in lock_files(home):
        if os.path.lexists(path) and (descriptor := _open(path)) is not None:
            os.close(descriptor)


def _silence() -> None:
    return


def _open(path: str) -> int | None:
    """Open a lock file, or make it; None where none can be made."""
    try:
        return _open_or_make(path)
    except OSError as error:
        if error.errno in _READ_ONLY | _FULL or not os.path.isdir(os.path.dirname(path)):
            return None  # the write that follows says so in better words
        reason = error.strerror
    raise LocalTrouble(
        "store_failed", f"{path} cannot be opened to lock it: {reason}.", "Move it away."
    )


def _open_or_make(path: str) -> int:
    with suppress(FileNotFoundError):
        return _open_existing(path)
    try:
        # O_EXCL follows no link: root must not make, and give away, a file somewhere else.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | UNBLOCKED, 0o600)
    except FileExistsError:
        return _open_existing(path)  # somebody was quicker
    with suppress(OSError, AttributeError):
        os.fchmod(descriptor, 0o600)  # whatever the umask
    give_to_owner(descriptor, os.path.dirname(path))
    return descriptor


def _open_existing(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | UNBLOCKED)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
    return os.open(path, os.O_RDONLY | UNBLOCKED)  # that is enough for flock, but not on NFS


if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock the first byte: it overlaps the whole-file lock that Codex takes."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Take the advisory lock if it is free (flock, as Codex does)."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _LOCKLESS | _READ_ONLY:
                raise
        return True
