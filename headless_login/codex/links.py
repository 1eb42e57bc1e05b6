"""The way to a folder, gone through link by link: where another user could lead root astray.

It stands by itself because it is what `files.py` relies on: a folder that was opened this way is
where its path led when each link was read, whatever is put in its place later.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress

PATH_ONLY = getattr(os, "O_PATH", 0)  # Linux: enough to look at a file, or to go through a folder
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_SEARCH = (PATH_ONLY or os.O_RDONLY) | DIRECTORY
_MOST_LINKS = 40  # as Linux
BY_DESCRIPTOR = os.open in os.supports_dir_fd  # not on Windows


def is_root() -> bool:
    """Return whether files of other users can be made and given away (POSIX)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def walk(path: str, *, to_file: bool = False) -> tuple[str, int, str, list[int]]:
    """Open the folder that a path leads to, going through every link by itself.

    Returns the folder's path without links, a descriptor, with `to_file` the name of the file in
    it that the path finally names, and the user of each link on the way: what the path was when it
    was gone through, nobody can change any more.
    """
    if not BY_DESCRIPTOR:
        real = os.path.realpath(path)
        folder, name = os.path.split(real) if to_file else (real, "")
        return folder, -1, name, []
    parts, makers, name = _parts(os.path.abspath(path)), list[int](), ""
    real, held = "/", [os.open("/", _SEARCH)]
    try:
        while parts:
            name, descriptor = parts.pop(), held[-1]
            is_last = to_file and not parts
            if (maker := _maker_of_link(name, descriptor, may_miss=is_last)) is not None:
                makers.append(maker)
                _check_link(maker, descriptor, path)
                if len(makers) > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(name, dir_fd=descriptor)
                parts += _parts(target)
                name = "/" if target.startswith("/") else "."
            elif is_last:
                break
            held.append(os.open(name, _SEARCH | NO_FOLLOW, dir_fd=descriptor))
            os.close(held.pop(0))
            real = os.path.normpath(os.path.join(real, name))
        else:
            if to_file:
                raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
        with suppress(PermissionError):  # one that can list and sync the folder
            held.append(os.open(".", os.O_RDONLY | DIRECTORY, dir_fd=held[-1]))
            os.close(held.pop(0))
        return real, held.pop(), name if to_file else "", makers
    except BaseException:
        # None is closed twice: the error of that would stand in place of a signal's, and be lost.
        while held:
            os.close(held.pop())
        raise


def _parts(path: str) -> list[str]:
    """Return the names in a path, the last one first."""
    return [part for part in path.split("/")[::-1] if part not in ("", ".")]


def _maker_of_link(name: str, folder: int, *, may_miss: bool) -> int | None:
    """Return the user of a symbolic link, or None if it is none."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        if may_miss:
            return None
        raise
    return status.st_uid if stat.S_ISLNK(status.st_mode) else None


def _check_link(maker: int, folder: int, path: str) -> None:
    """Refuse a link that some other user has put into a folder that others may write into."""
    if sys.platform != "win32" and maker not in (0, os.geteuid(), os.fstat(folder).st_uid):
        raise OSError(errno.EINVAL, "it goes through another user's link", path)


def check_makers(path: str, makers: list[int], owner: os.stat_result) -> None:
    """Refuse another user's link by which root would write or remove a third user's files."""
    if is_root() and any(maker not in (0, owner.st_uid) for maker in makers):
        reason = "it is another user's link to what is not theirs"
        raise OSError(errno.EINVAL, reason, path)
