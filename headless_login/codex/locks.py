"""Codex's two locks, taken in Codex's order (codex-facts.md §6): auth.lock, then auth.json.lock.

The lock files stay where they are, as Codex leaves them: removing one would let two programs
hold "the" lock at once. Neither may be held while a server is asked: Codex waits for the first
without end, and gives up on the second after 5 seconds.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from headless_login.codex.files import Folder, try_lock
from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble

PATIENCE = 30.0  # seconds; Codex holds them for as long as it takes to read and write a file
_PAUSE = 0.05  # seconds

WAITING = "Waiting for another program, probably Codex, to let go of auth.json…"

# A folder that cannot hold lock files (read-only, full, or no folder) cannot hold Codex's either:
# no other program can have the lock. The write that follows says what is wrong.
_NO_LOCK_FILES = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}


@contextmanager
def codex_locks(
    home: CodexHome,
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    try_lock: Callable[[int], bool] = try_lock,
) -> Iterator[tuple[Folder, str]]:
    """Hold both locks; yields the opened folder of auth.json, and the file's name there.

    `on_wait` is called once if another program holds one.

    Raises:
        LocalTrouble: `store_failed`; a lock was not free within `patience` seconds, or cannot be.
        OSError: auth.json is nothing that can be replaced.
    """
    deadline = clock() + patience
    with ExitStack() as held:
        for folder, lock, name in _lock_files(home, held):
            locked = folder, name  # at last auth.json itself
            descriptor = _open(folder, lock)
            if descriptor is None:
                continue
            held.callback(os.close, descriptor)
            while not try_lock(descriptor):
                on_wait()
                on_wait = _silence
                if clock() >= deadline:
                    raise LocalTrouble(
                        "store_failed",
                        f"Another program has held {os.path.join(folder.path, lock)} for "
                        f"{patience:.0f} seconds.",
                        "Close Codex there and try again.",
                    )
                sleep(_PAUSE)
        yield locked


def check_lockable(home: CodexHome) -> None:
    """Raise what taking the locks would raise, without making or taking any."""
    with ExitStack() as held:
        for folder, lock, _ in _lock_files(home, held):
            if folder.has(lock) and (descriptor := _open(folder, lock)) is not None:
                os.close(descriptor)


def _lock_files(home: CodexHome, held: ExitStack) -> Iterator[tuple[Folder, str, str]]:
    """Yield folder, lock file and locked file of both, in Codex's order, each in its turn.

    The second lies beside what auth.json finally names. So two folders that share a sign-in by
    symbolic links share its lock as well, as in Codex 0.169.0 [seen]: `creds.json` and `creds.v1`
    alike are locked by `creds.json.lock`.
    """
    with suppress(OSError):  # no folder: no lock, and the write says so
        folder = held.enter_context(Folder.opened(home.path))
        yield folder, "auth.lock", ""
    folder, name = held.enter_context(Folder.of(home.auth_file))
    yield folder, f"{os.path.splitext(name)[0]}.json.lock", name


def _silence() -> None:
    return


def _open(folder: Folder, name: str) -> int | None:
    """Open a lock file, or make it; None where none can be made."""
    try:
        return folder.open_to_lock(name, follow=True)
    except OSError as error:
        if error.errno in _NO_LOCK_FILES:
            return None
        reason = error.strerror
    raise LocalTrouble(
        "store_failed",
        f"{os.path.join(folder.path, name)} cannot be opened to lock it: {reason}.",
        "Move it away.",
    )
