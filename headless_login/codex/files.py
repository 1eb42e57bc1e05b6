"""Files and folders: the one place that opens, reads, makes, locks and removes them.

Everything happens relative to an opened folder. Whatever is put in the place of its name later
(by another user, in whose home root works) changes nothing: root writes into no other folder.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from headless_login.codex.links import (
    BY_DESCRIPTOR,
    DIRECTORY,
    NO_FOLLOW,
    check_makers,
    is_root,
    walk,
)
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self, TypeVar

    T = TypeVar("T")

LONGEST = 4 * 1024 * 1024  # bytes; no file of Codex's comes near

# Opening a pipe would wait for its writer, and a terminal would become ours.
UNBLOCKED = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

# Linux: a file without a name, and where an open one can be linked to a name.
_UNNAMED = getattr(os, "O_TMPFILE", 0)
_OPENED = "/proc/self/fd"

_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_PATIENCE, _PAUSE = 3.0, 0.05  # seconds
_SHARING = {32, 33}  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_LOCKLESS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}


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
                check_regular(owner, path)
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
            os.mkdir(self._at(name), _mode_below(self.path), **self._there())
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

    def is_regular(self, name: str) -> bool:
        """Return whether there is a regular file of that name."""
        with suppress(OSError):
            return stat.S_ISREG(self.status_of(name).st_mode)
        return False

    def read(self, name: str) -> tuple[bytes, os.stat_result]:
        """Return content and status of a regular file that is no link; never waits."""
        return _read(self.open(name, os.O_RDONLY), name)

    def discard(self, name: str) -> None:
        """Remove a file of which nothing depends on surviving a power cut."""
        patiently(lambda: os.unlink(self._at(name), **self._there()), self._path(name))

    def make(self, name: str) -> int:
        """Make an empty file (0600) of a new name; returns a descriptor.

        O_EXCL follows no link, so root makes and gives away no other one.
        """
        return self._made(name, os.O_CREAT | os.O_EXCL)

    def make_unnamed(self) -> int:
        """Make an empty file (0600) that is gone when it is closed, unless it is linked (Linux)."""
        if not _UNNAMED:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        return self._made(".", _UNNAMED)

    def _made(self, name: str, flags: int) -> int:
        flags |= os.O_RDWR | NO_FOLLOW | UNBLOCKED
        descriptor = os.open(self._at(name), flags, 0o600, **self._there())
        make_private(descriptor)  # a umask can have taken even the owner's rights
        give_to_owner(descriptor, self.status())
        return descriptor

    def link(self, descriptor: int, name: str) -> None:
        """Give a file that was made without a name a new one."""
        os.link(f"{_OPENED}/{descriptor}", name, dst_dir_fd=self._descriptor)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, in the place of what has that now."""
        there: dict[str, Any] = {}
        if BY_DESCRIPTOR:
            there = {"src_dir_fd": self._descriptor, "dst_dir_fd": self._descriptor}
        patiently(lambda: os.replace(self._at(name), self._at(to), **there), self._path(to))

    def sync(self) -> None:
        """Let what was renamed or removed survive a power cut."""
        if BY_DESCRIPTOR:
            with suppress(OSError):  # some file systems cannot
                os.fsync(self._descriptor)

    def mark(self, name: str) -> None:
        """Make an empty file, if there is nothing of that name."""
        with suppress(FileExistsError):
            os.close(self.make(name))

    def open(self, name: str, flags: int) -> int:
        """Return a descriptor of a file that is no link; never waits."""
        flags |= NO_FOLLOW | UNBLOCKED
        return patiently(lambda: os.open(self._at(name), flags, **self._there()), self._path(name))

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
            return self.make(name)
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
                check_regular(os.fstat(descriptor), name)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _at(self, name: str) -> str:
        return name if BY_DESCRIPTOR else self._path(name)

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _there(self) -> dict[str, Any]:
        return {"dir_fd": self._descriptor} if BY_DESCRIPTOR else {}


def read_regular(path: str) -> tuple[bytes, os.stat_result]:
    """Return a regular file's content and status, without ever waiting for another program.

    Raises:
        OSError: it is missing, unreadable, too long or no regular file; `strerror` says which.
    """
    return _read(patiently(lambda: os.open(path, os.O_RDONLY | UNBLOCKED), path), path)


def read_owned(path: str) -> tuple[bytes, os.stat_result]:
    """As `read_regular`; but root reads no third user's file through another user's link."""
    with Folder.of(path) as (folder, name):
        return folder.read(name)


def give_to_owner(descriptor: int, like: os.stat_result) -> None:
    """As root, give an open file to the owner of `like`: that user's Codex has to open it."""
    if sys.platform != "win32" and is_root():
        with suppress(OSError):  # not every file system knows owners
            os.fchown(descriptor, like.st_uid, like.st_gid)


def _mode_below(path: str) -> int:
    """Return the mode of a new private folder.

    What an administrator makes with 0700 on Windows is closed to the same person's Codex (CPython
    issue 128038); in a profile every folder is private as it is.
    """
    if sys.platform == "win32":
        from headless_login.windows import is_in_profile

        return 0o777 if is_in_profile(path) else 0o700
    return 0o700


def _is_in_use(path: str) -> bool:
    if sys.platform == "win32":
        from headless_login.windows import is_in_use

        return is_in_use(path)
    return False


def patiently(
    work: Callable[[], T],
    path: str,
    *,
    platform: str = sys.platform,
    is_in_use: Callable[[str], bool] = _is_in_use,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return what `work` does to a file, which on Windows may have to wait for another program.

    A virus scanner, an indexer or a backup has it open for a moment, and nobody else may then
    write, rename or remove it. `is_in_use` tells that from a missing permission.

    Raises:
        OSError: `work`'s own; on Windows EBUSY in its place if a program keeps the file open for
            three seconds, and EISDIR for a folder.
    """
    if platform != "win32":
        return work()
    deadline = clock() + _PATIENCE
    while True:
        try:
            return work()
        except PermissionError as error:
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, "it is a folder", path) from None
            if getattr(error, "winerror", None) not in _SHARING and not is_in_use(path):
                raise
        if clock() >= deadline:
            raise OSError(errno.EBUSY, "another program has it open", path)
        sleep(_PAUSE)


if sys.platform == "win32":
    from headless_login.windows import lock

    try_lock = lock
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
        check_regular(status, path)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LONGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LONGEST:
        raise OSError(errno.EFBIG, "it is far too long", path)
    return content, status


def check_regular(status: os.stat_result, path: str) -> None:
    """Raise the OSError that says what is there instead of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", path)


def make_private(descriptor: int) -> None:
    """Take all rights of other users to an open file away (POSIX)."""
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without modes
            os.fchmod(descriptor, 0o600)


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content, or of what stands for a file, in hexadecimal."""
    from hashlib import sha256  # late: what only reads needs none

    return sha256(content).hexdigest()
