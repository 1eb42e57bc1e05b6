"""Replacing and removing a file so that it is the old one or the new one at every moment.

It is written whole beside the old one, 0600 from its first byte, and takes its name: fsync, rename,
fsync of the folder. Where the system can (Linux: O_TMPFILE), it has no name before it is whole, so
that a program that is killed meanwhile leaves nothing. Where a rename is refused (a single file
mounted into a container), it is written in place and put back if that fails.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from headless_login.codex.files import Folder, check_regular, give_to_owner, make_private
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_TEMPORARY = ".auth-"  # as Codex calls its own
_TRIED = f"{_TEMPORARY}try-"  # of a probe, which takes no lock, and holds no secret
_TRIED_STAY = 3600.0  # seconds
_LEFT_OVER = r"\.auth-(?:(?:try-)?[0-9a-f]{12}|[A-Za-z0-9]{6})"  # ours, and Codex's

_REFUSED = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS}
_UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}  # no failure
_NOT_RENAMED = {errno.EBUSY, errno.EXDEV}  # says nothing about why the file is not writable

# SIGHUP: a connection that breaks at this very moment must not leave half of anything either.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last one is Windows' Ctrl-Break
_HELD = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def replace(folder: Folder, name: str, content: bytes, *, temporary: str = "") -> bool:
    """Replace a file, or make it; returns whether it had to be written in place.

    `temporary` is the name that it may have before; without one, one that no other program has.

    Raises:
        OSError: nothing was changed, and no temporary file is left.
    """
    refused: OSError
    with signals_held():
        try:
            _write_beside(folder, name, content, temporary or _new_name())
        except OSError as error:
            if error.errno not in _REFUSED or not folder.is_regular(name):
                raise
            refused = error
        else:
            return False
        try:
            _write_in_place(folder, name, content)
        except OSError as error:
            known = error.errno in _REFUSED and refused.errno not in _NOT_RENAMED
            raise (refused if known else error) from None
    return True


def replace_file(path: str, content: bytes) -> bool:
    """Replace what `path` finally names; returns whether it had to be written in place.

    Raises:
        OSError: nothing was changed, and no temporary file is left.
    """
    with Folder.of(path) as (folder, name):
        return replace(folder, name, content)


def append(folder: Folder, name: str, content: bytes) -> None:
    """Add to a file that is there, in one write: a kill leaves all of it there, or nothing."""
    descriptor = folder.open(name, os.O_WRONLY | os.O_APPEND)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Folder, name: str, *, or_write: bytes) -> None:
    """Remove a file; what cannot be removed (a mounted file) gets `or_write` as its content.

    Raises:
        OSError: it is there as it was.
    """
    with signals_held():
        try:
            folder.discard(name)
        except OSError as error:
            if error.errno not in _REFUSED or not folder.is_regular(name):
                raise
        else:
            folder.sync()
            return
        _write_in_place(folder, name, or_write)


def left_overs(folder: Folder) -> list[str]:
    """Return the names of what a write that was killed has left; raises OSError."""
    import re

    return [name for name in folder.names() if re.fullmatch(_LEFT_OVER, name)]


def sweep(folder: Folder) -> None:
    """Remove what a write that was killed has left, secrets and all; call it under the lock."""
    with suppress(OSError):
        for name in left_overs(folder):
            with suppress(OSError):
                status = folder.status_of(name)
                ours = not hasattr(os, "geteuid") or status.st_uid in (
                    os.geteuid(),
                    folder.status().st_uid,
                )
                in_use = name.startswith(_TRIED) and time.time() - status.st_mtime < _TRIED_STAY
                if stat.S_ISREG(status.st_mode) and ours and not in_use:
                    folder.discard(name)


def try_replacing(folder: Folder, room: bytes) -> None:
    """Go through the steps of `replace` with nothing but temporary files, and `room` in them.

    Two at once: a disk has to take the new content beside the old one. They are the steps of the
    way that every system has, which `replace` takes in the end.

    Raises:
        OSError: what `replace` would fail with.
    """
    names: list[str] = []
    with signals_held():
        try:
            for _ in range(2):
                name = _new_name(_TRIED)
                descriptor = folder.make(name)
                names.append(name)
                with open(descriptor, "wb") as file:
                    _fill(file, room)
            folder.rename(*names)
        finally:
            for name in names:
                with suppress(OSError):
                    folder.discard(name)


def _new_name(prefix: str = _TEMPORARY) -> str:
    return f"{prefix}{os.urandom(6).hex()}"


def _write_beside(folder: Folder, name: str, content: bytes, temporary: str) -> None:
    like = folder.status_of(name) if folder.is_regular(name) else None
    written = name if like is None else temporary  # a new one needs no other name before
    try:
        if not _write_unnamed(folder, written, content, like):
            written = temporary
            with open(folder.make(temporary), "wb") as file:
                _fill(file, content, like)
        if written != name:
            folder.rename(temporary, name)
    except BaseException:
        with suppress(OSError):
            folder.discard(temporary)
        raise
    folder.sync()


def _write_unnamed(folder: Folder, name: str, content: bytes, like: os.stat_result | None) -> bool:
    """Write a file that gets its new name when it is whole; returns whether that is possible."""
    with suppress(OSError), open(folder.make_unnamed(), "wb") as file:
        _fill(file, content, like)
        folder.link(file.fileno(), name)
        return True
    return False


def _fill(file: BinaryIO, content: bytes, like: os.stat_result | None = None) -> None:
    if like is not None:
        give_to_owner(file.fileno(), like)
    file.write(content)
    file.flush()
    _fsync(file.fileno())


def _write_in_place(folder: Folder, name: str, content: bytes) -> None:
    descriptor = folder.open(name, os.O_RDWR)
    with open(descriptor, "r+b", buffering=0) as file:
        check_regular(os.fstat(descriptor), name)
        make_private(descriptor)
        before = file.read()
        try:
            _rewrite(descriptor, content)
        except OSError:
            with suppress(OSError):
                _rewrite(descriptor, before)
            raise


def _rewrite(descriptor: int, content: bytes) -> None:
    """Write a file in place so that it is whole at every moment, if its content is JSON.

    One write puts blanks where the old content was longer; they are cut off afterwards.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = memoryview(content.ljust(os.fstat(descriptor).st_size))
    while left:
        left = left[os.write(descriptor, left) :]
    _fsync(descriptor)
    os.ftruncate(descriptor, len(content))
    _fsync(descriptor)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCED:
            raise


@contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the end, and act then.

    By handlers and not by a signal mask: a signal that this thread blocks goes to another one,
    and Python raises its exception here all the same.
    """
    threading = sys.modules.get("threading")  # without it there is one thread
    if threading and threading.current_thread() is not threading.main_thread():
        yield  # no signal is ever raised here
        return
    arrived: list[int] = []
    before = {}
    try:
        for number in _HELD:
            if (handler := signal.getsignal(number)) is not None:
                before[number] = handler
                signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in arrived:
            signal.raise_signal(number)
