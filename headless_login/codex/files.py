"""Files and folders: the one place that opens, reads, replaces, locks and removes them.

Everything happens relative to an opened folder. Whatever is put in the place of its name later
(by another user, in whose home root works) changes nothing: root writes into no other folder.

A file is replaced whole: temporary file in the same folder, 0600 from its first byte, fsync,
rename, fsync of the folder. Where a rename is refused (a single file mounted into a container),
it is written in place and put back if that fails.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from headless_login.codex.links import (
    BY_DESCRIPTOR,
    DIRECTORY,
    NO_FOLLOW,
    check_makers,
    is_root,
    walk,
)

TEMPORARY = ".auth-"  # as Codex calls its own
_TRIED = f"{TEMPORARY}try-"  # of a probe, which takes no lock, and holds no secret
_TRIED_STAY = 3600.0  # seconds
_LEFT_OVER = re.compile(r"\.auth-(?:(?:try-)?[0-9a-f]{12}|[A-Za-z0-9]{6})")  # ours, and Codex's
LONGEST = 4 * 1024 * 1024  # bytes; no file of Codex's comes near

# Opening a pipe would wait for its writer, and a terminal would become ours.
UNBLOCKED = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

_REFUSED = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS}
_UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}  # no failure
_NOT_RENAMED = {errno.EBUSY, errno.EXDEV}  # says nothing about why the file is not writable
_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_LOCKLESS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}

# SIGHUP: a connection that breaks at this very moment must not leave half of anything either.
_HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Folder:
    """An open folder, and files in it by their names; every method raises OSError."""

    def __init__(self, path: str, descriptor: int) -> None:
        """`descriptor` is the one that the folder was opened with (-1: none, on Windows)."""
        self.path = path
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, path: str) -> Iterator[Self]:
        """Open a folder; links that lead to it are followed now, and never again.

        Raises:
            OSError: there is none, or another user's link leads root to a third user's folder.
        """
        with cls._held(*walk(path)) as (folder, _, makers):
            check_makers(path, makers, folder.status())
            yield folder

    @classmethod
    @contextmanager
    def of(cls, path: str) -> Iterator[tuple[Self, str]]:
        """Open the folder of the file that `path` finally names; yields it and the file's name.

        A symbolic link is followed, and so kept when the file is replaced.

        Raises:
            OSError: as `opened`; or the links go in a circle, or lead to a folder or a device.
        """
        with cls._held(*walk(path, to_file=True)) as (folder, name, makers):
            owner = folder.status()
            if folder.has(name):
                owner = folder.status_of(name)
                _check_regular(owner, path)
            check_makers(path, makers, owner)
            yield folder, name

    @contextmanager
    def below(self, name: str) -> Iterator[Self]:
        """Open a folder in this one; it must not be a link."""
        path, descriptor = os.path.join(self.path, name), -1
        if BY_DESCRIPTOR:
            descriptor = self.open(name, os.O_RDONLY | DIRECTORY)
        elif not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder", path)
        with self._held(path, descriptor, "", []) as (folder, _, _):
            yield folder

    @classmethod
    @contextmanager
    def _held(
        cls, path: str, descriptor: int, name: str, makers: list[int]
    ) -> Iterator[tuple[Self, str, list[int]]]:
        try:
            yield cls(path, descriptor), name, makers
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def make_folder(self, name: str) -> bool:
        """Make a folder in this one that no other user can enter; returns False if it was there."""
        try:
            os.mkdir(self._at(name), 0o700, **self._there())
        except FileExistsError:
            return False
        with suppress(OSError), self.below(name) as made:
            made.make_private()  # a umask can have taken even the owner's rights
            give_to_owner(made._descriptor, self.status())
        return True

    def status(self) -> os.stat_result:
        """Return the folder's own status."""
        return os.fstat(self._descriptor) if BY_DESCRIPTOR else os.lstat(self.path)

    def make_private(self) -> None:
        """Take all rights of other users to the folder away (POSIX)."""
        if sys.platform != "win32" and stat.S_IMODE(self.status().st_mode) != 0o700:
            os.fchmod(self._descriptor, 0o700)

    def names(self) -> list[str]:
        """Return the names of all files."""
        return os.listdir(self._descriptor if BY_DESCRIPTOR else self.path)

    def status_of(self, name: str) -> os.stat_result:
        """Return the status of a file, not of what it may link to."""
        return os.stat(self._at(name), follow_symlinks=False, **self._there())

    def has(self, name: str) -> bool:
        """Return whether there is anything of that name."""
        try:
            self.status_of(name)
        except OSError:
            return False
        return True

    def read(self, name: str) -> tuple[bytes, os.stat_result]:
        """Return content and status of a regular file that is no link; never waits."""
        return _read(self.open(name, os.O_RDONLY), name)

    def replace(self, name: str, content: bytes) -> bool:
        """Replace a file, or make it; returns whether it had to be written in place.

        Raises:
            OSError: nothing was changed, and no temporary file is left.
        """
        refused: OSError
        with signals_held():
            try:
                self._write_beside_and_rename(name, content)
            except OSError as error:
                if error.errno not in _REFUSED or not self._is_regular(name):
                    raise
                refused = error
            else:
                return False
            try:
                self._write_in_place(name, content)
            except OSError as error:
                known = error.errno in _REFUSED and refused.errno not in _NOT_RENAMED
                raise (refused if known else error) from None
        return True

    def remove(self, name: str, *, or_write: bytes | None = None) -> None:
        """Remove a file; what cannot be removed (a mounted file) gets `or_write` as its content."""
        with signals_held():
            try:
                self.discard(name)
            except OSError as error:
                refused = error.errno in _REFUSED and self._is_regular(name)
                if or_write is None or not refused:
                    raise
            else:
                self._sync()
                return
            self._write_in_place(name, or_write)

    def discard(self, name: str) -> None:
        """Remove a file of which nothing depends on surviving a power cut."""
        os.unlink(self._at(name), **self._there())

    def left_overs(self) -> list[str]:
        """Return the names of what a write that was killed has left."""
        return [name for name in self.names() if _LEFT_OVER.fullmatch(name)]

    def sweep(self) -> None:
        """Remove what a write that was killed has left, secrets and all; call it under the lock."""
        with suppress(OSError):
            for name in self.left_overs():
                with suppress(OSError):
                    status = self.status_of(name)
                    ours = not hasattr(os, "geteuid") or status.st_uid in (
                        os.geteuid(),
                        self.status().st_uid,
                    )
                    in_use = name.startswith(_TRIED) and time.time() - status.st_mtime < _TRIED_STAY
                    if stat.S_ISREG(status.st_mode) and ours and not in_use:
                        self.discard(name)

    def try_replacing(self, room: bytes) -> None:
        """Go through the steps of `replace` with nothing but temporary files, and `room` in them.

        Two at once: a disk has to take the new content beside the old one.
        """
        names: list[str] = []
        with signals_held():
            try:
                for _ in range(2):
                    name, descriptor = self.make_temporary(_TRIED)
                    names.append(name)
                    with open(descriptor, "wb") as file:
                        file.write(room)
                        file.flush()
                        _fsync(descriptor)
                self._rename(*names)
            finally:
                for name in names:
                    with suppress(OSError):
                        self.discard(name)

    def mark(self, name: str) -> None:
        """Make an empty file, if there is nothing of that name."""
        with suppress(FileExistsError):
            os.close(self._make(name))

    def make_temporary(self, prefix: str = TEMPORARY) -> tuple[str, int]:
        """Make an empty file (0600) under a new name; returns the name and a descriptor."""
        while True:
            name = f"{prefix}{os.urandom(6).hex()}"
            with suppress(FileExistsError):
                return name, self._make(name)

    def open(self, name: str, flags: int) -> int:
        """Return a descriptor of a file that is no link; never waits."""
        return os.open(self._at(name), flags | NO_FOLLOW | UNBLOCKED, **self._there())

    def open_to_lock(self, name: str, *, follow: bool = False) -> int:
        """Return a descriptor of a file that can be locked, made if it is missing.

        `follow`: through a link, and whatever kind of file is there, as Codex does.
        """
        if follow and self.has(name) and stat.S_ISLNK(self.status_of(name).st_mode):
            with Folder.of(os.path.join(self.path, name)) as (folder, target):
                return folder._open_lock(target)
        with suppress(FileNotFoundError):
            return self._open_lock(name, of_any_kind=follow)
        try:
            return self._make(name)
        except FileExistsError:  # another program was quicker
            return self._open_lock(name, of_any_kind=follow)

    def _open_lock(self, name: str, *, of_any_kind: bool = False) -> int:
        try:
            descriptor = self.open(name, os.O_RDWR)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            # Reading is enough for flock, but not on NFS.
            descriptor = self.open(name, os.O_RDONLY)
        try:
            if not of_any_kind:
                _check_regular(os.fstat(descriptor), name)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _make(self, name: str) -> int:
        """Make a new file: O_EXCL follows no link, so root makes and gives away no other one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | UNBLOCKED
        descriptor = os.open(self._at(name), flags, 0o600, **self._there())
        _make_private(descriptor)  # a umask can have taken even the owner's rights
        give_to_owner(descriptor, self.status())
        return descriptor

    def _is_regular(self, name: str) -> bool:
        with suppress(OSError):
            return stat.S_ISREG(self.status_of(name).st_mode)
        return False

    def _write_beside_and_rename(self, name: str, content: bytes) -> None:
        temporary, descriptor = self.make_temporary()
        try:
            with open(descriptor, "wb") as file:
                if self._is_regular(name):
                    give_to_owner(descriptor, self.status_of(name))
                file.write(content)
                file.flush()
                _fsync(descriptor)
            self._rename(temporary, name)
        except BaseException:
            with suppress(OSError):
                self.discard(temporary)
            raise
        self._sync()

    def _rename(self, name: str, to: str) -> None:
        there: dict[str, Any] = {}
        if BY_DESCRIPTOR:
            there = {"src_dir_fd": self._descriptor, "dst_dir_fd": self._descriptor}
        os.replace(self._at(name), self._at(to), **there)

    def _write_in_place(self, name: str, content: bytes) -> None:
        descriptor = self.open(name, os.O_RDWR)
        with open(descriptor, "r+b", buffering=0) as file:
            _check_regular(os.fstat(descriptor), name)
            _make_private(descriptor)
            before = file.read()
            try:
                _rewrite(descriptor, content)
            except OSError:
                with suppress(OSError):
                    _rewrite(descriptor, before)
                raise

    def _sync(self) -> None:
        if BY_DESCRIPTOR:
            with suppress(OSError):  # some file systems cannot
                os.fsync(self._descriptor)

    def _at(self, name: str) -> str:
        return name if BY_DESCRIPTOR else os.path.join(self.path, name)

    def _there(self) -> dict[str, Any]:
        return {"dir_fd": self._descriptor} if BY_DESCRIPTOR else {}


def replace_file(path: str, content: bytes) -> bool:
    """Replace what `path` finally names; returns whether it had to be written in place.

    Raises:
        OSError: nothing was changed, and no temporary file is left.
    """
    with Folder.of(path) as (folder, name):
        return folder.replace(name, content)


def read_regular(path: str) -> tuple[bytes, os.stat_result]:
    """Return a regular file's content and status, without ever waiting for another program.

    Raises:
        OSError: it is missing, unreadable, too long or no regular file; `strerror` says which.
    """
    return _read(os.open(path, os.O_RDONLY | UNBLOCKED), path)


def read_owned(path: str) -> tuple[bytes, os.stat_result]:
    """As `read_regular`; but root reads no third user's file through another user's link."""
    with Folder.of(path) as (folder, name):
        return folder.read(name)


def give_to_owner(descriptor: int, like: os.stat_result) -> None:
    """As root, give an open file to the owner of `like`: that user's Codex has to open it."""
    if sys.platform != "win32" and is_root():
        with suppress(OSError):  # not every file system knows owners
            os.fchown(descriptor, like.st_uid, like.st_gid)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the end, and act then.

    By handlers and not by a signal mask: a signal that this thread blocks goes to another one,
    and Python raises its exception here all the same.
    """
    if threading.current_thread() is not threading.main_thread():
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

    def try_lock(descriptor: int, *, flock: Callable[[int, int], object] = fcntl.flock) -> bool:
        """Take the advisory lock if it is free (flock, as Codex does)."""
        try:
            flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _LOCKLESS | _UNREADABLE:
                raise
        return True


def _read(descriptor: int, path: str) -> tuple[bytes, os.stat_result]:
    try:
        status = os.fstat(descriptor)
        _check_regular(status, path)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LONGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LONGEST:
        raise OSError(errno.EFBIG, "it is far too long", path)
    return content, status


def _check_regular(status: os.stat_result, path: str) -> None:
    """Raise the OSError that says what is there instead of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", path)


def _make_private(descriptor: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without modes
            os.fchmod(descriptor, 0o600)


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
