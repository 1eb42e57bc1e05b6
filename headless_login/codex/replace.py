"""Replacing a file whole: the old content or the new one, never anything between.

Temporary file in the same folder, 0600 from its first byte, fsync, rename, fsync of the folder;
a symbolic link is followed and kept. Where a rename is refused (a single file mounted into a
container), the file is written in place and put back if that fails.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_REFUSED = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS}
_BINARY = getattr(os, "O_BINARY", 0)


def replace_file(path: str, content: bytes) -> bool:
    """Replace what `path` finally names; tells whether it had to be written in place.

    Raises:
        OSError: nothing was changed, and no temporary file is left.
    """
    target = os.path.realpath(path)
    refused: OSError
    with signals_held():
        try:
            _write_beside_and_rename(target, content)
        except OSError as error:
            if error.errno not in _REFUSED or not os.path.isfile(target):
                raise
            refused = error
        else:
            return False
        try:
            _write_in_place(target, content)
        except OSError as error:
            raise (refused if error.errno in _REFUSED else error) from None
    return True


def remove_file(path: str) -> bool:
    """Remove what `path` finally names, keeping a symbolic link; tells whether there was one.

    A mounted file, which cannot be removed, is left as an empty JSON object: Codex takes that
    for not being signed in.
    """
    target = os.path.realpath(path)
    try:
        os.unlink(target)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _REFUSED or not os.path.isfile(target):
            raise
        _write_in_place(target, b"{}")
    return True


def create_beside(target: str) -> tuple[str, int]:
    """Create an empty file (0600) in the folder of `target`, named as Codex names its own."""
    while True:
        name = f".auth-{secrets.token_urlsafe(6)}"
        path = os.path.join(os.path.dirname(target), name)
        with suppress(FileExistsError):
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the few milliseconds of one write (POSIX)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write_beside_and_rename(target: str, content: bytes) -> None:
    temporary, descriptor = create_beside(target)
    try:
        with open(descriptor, "wb") as file:
            _keep_owner(descriptor, target)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # some file systems and Windows cannot open a folder
        _sync_folder(os.path.dirname(target))


def _keep_owner(descriptor: int, target: str) -> None:
    """Give root's file to whom the old one, or the folder, belongs: their Codex must read it."""
    if not hasattr(os, "fchown") or os.geteuid() != 0:
        return
    owner = os.stat(target if os.path.exists(target) else os.path.dirname(target))
    with suppress(OSError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_in_place(target: str, content: bytes) -> None:
    with open(os.open(target, os.O_RDWR | _BINARY), "r+b", buffering=0) as file:
        with suppress(OSError, AttributeError):
            os.fchmod(file.fileno(), 0o600)
        before = file.read()
        try:
            _rewrite(file.fileno(), content)
        except OSError:
            with suppress(OSError):
                _rewrite(file.fileno(), before)
            raise


def _rewrite(descriptor: int, content: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)
