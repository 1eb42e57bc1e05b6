"""Whose a new file is: what root makes in another user's folder has to stay that user's."""

from __future__ import annotations

import errno
import os
from contextlib import suppress


def is_root() -> bool:
    """Tell whether files of other users can be made and given away (POSIX)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def give_to_owner(descriptor: int, like: str | int) -> None:
    """As root, give an open file to whom `like` belongs: their Codex has to open it."""
    if not is_root():
        return
    with suppress(OSError):  # not every file system knows owners
        owner = os.stat(like)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def give_folder_to_owner(path: str) -> None:
    """As root, give a new folder to whom its parent belongs (`sudo` keeps HOME on some systems)."""
    if not is_root():
        return
    with suppress(OSError):
        # Never by its name: it may have become a link to anywhere by now.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            give_to_owner(descriptor, os.path.dirname(path))
        finally:
            os.close(descriptor)


def check_link(path: str, target: str) -> None:
    """Raise OSError where another user's link would make root write or remove a third's file."""
    if not is_root() or not os.path.islink(path):
        return
    end = target if os.path.exists(target) else os.path.dirname(target)
    if os.lstat(path).st_uid not in (0, os.stat(end).st_uid):
        reason = f"it is another user's link to {target}, which is not theirs"
        raise OSError(errno.EINVAL, reason, path)
