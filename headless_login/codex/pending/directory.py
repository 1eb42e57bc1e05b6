"""One opened folder: whatever its name leads to by now, everything happens in this one.

Root may work in another user's home. If that user puts a link in the folder's place, nothing may
be written, changed or removed where it leads to.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from headless_login.codex.ownership import give_to_owner
from headless_login.codex.reading import LONGEST, UNBLOCKED, check_regular

TEMPORARY = ".auth-"  # as Codex calls its own
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BY_DESCRIPTOR = os.open in os.supports_dir_fd  # not on Windows


class Directory:
    """An open folder, and files in it by their names; every method raises OSError."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Take the path, and the descriptor that it had when it was opened (-1: none)."""
        self._path = path
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, path: str) -> Iterator[Self]:
        """Open a folder that is no link, for as long as the context lasts."""
        if not _BY_DESCRIPTOR:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "it is no folder", path)
            yield cls(path, -1)
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
        try:
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    def status(self) -> os.stat_result:
        """Return the folder's own status."""
        return os.fstat(self._descriptor) if _BY_DESCRIPTOR else os.lstat(self._path)

    def make_private(self) -> None:
        """Take everybody else's rights to the folder away (POSIX)."""
        if _BY_DESCRIPTOR and stat.S_IMODE(self.status().st_mode) != 0o700:
            os.fchmod(self._descriptor, 0o700)

    def names(self) -> list[str]:
        """Return the names of all files."""
        return os.listdir(self._descriptor if _BY_DESCRIPTOR else self._path)

    def status_of(self, name: str) -> os.stat_result:
        """Return the status of a file, not of what it may link to."""
        return os.stat(self._at(name), follow_symlinks=False, **self._there())

    def has(self, name: str) -> bool:
        """Tell whether there is anything of that name."""
        try:
            self.status_of(name)
        except OSError:
            return False
        return True

    def read(self, name: str) -> tuple[bytes, os.stat_result]:
        """Return content and status of a regular file that is no link; never waits."""
        descriptor = self._open(name, os.O_RDONLY)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            check_regular(status, name)
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise OSError(errno.EFBIG, "it is far too long", name)
        return content, status

    def write(self, name: str, content: bytes) -> None:
        """Put a file in the place of the one before: the whole of it, or nothing."""
        temporary = f"{TEMPORARY}{secrets.token_urlsafe(6)}"
        descriptor = self._make(temporary)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            there: dict[str, Any] = {}
            if _BY_DESCRIPTOR:
                there = {"src_dir_fd": self._descriptor, "dst_dir_fd": self._descriptor}
            os.replace(self._at(temporary), self._at(name), **there)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise
        if _BY_DESCRIPTOR:
            with suppress(OSError):
                os.fsync(self._descriptor)

    def mark(self, name: str) -> None:
        """Make an empty file, if there is nothing of that name."""
        with suppress(FileExistsError):
            os.close(self._make(name))

    def open_to_lock(self, name: str) -> int:
        """Return a descriptor of a file that can be locked, made if it is missing."""
        with suppress(FileExistsError):
            return self._make(name)
        descriptor = self._open(name, os.O_RDWR)
        try:
            check_regular(os.fstat(descriptor), name)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._at(name), **self._there())

    def _make(self, name: str) -> int:
        """Make a new file that is nobody else's: O_EXCL follows no link, and waits for nobody."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | UNBLOCKED
        descriptor = os.open(self._at(name), flags, 0o600, **self._there())
        with suppress(OSError, AttributeError):
            os.fchmod(descriptor, 0o600)  # a umask can have taken even the owner's rights
        if _BY_DESCRIPTOR:
            give_to_owner(descriptor, self._descriptor)
        return descriptor

    def _open(self, name: str, flags: int) -> int:
        return os.open(self._at(name), flags | _NO_FOLLOW | UNBLOCKED, **self._there())

    def _at(self, name: str) -> str:
        return name if _BY_DESCRIPTOR else os.path.join(self._path, name)

    def _there(self) -> dict[str, Any]:
        return {"dir_fd": self._descriptor} if _BY_DESCRIPTOR else {}
