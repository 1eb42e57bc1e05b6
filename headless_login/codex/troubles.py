"""Why a file of Codex's cannot be written, in a sentence with the way out; and the probe."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.replace import create_beside, signals_held
from headless_login.errors import LocalTrouble

# More than any auth.json needs: a full disk must show before the code is spent, not after.
_ROOM = b"\0" * 16384


def check_writable(home: CodexHome) -> None:
    """Prove that auth.json could be written now, and change nothing.

    Raises:
        LocalTrouble: `store_failed`, with the reason.
    """
    path = home.auth_file
    reason: OSError
    try:
        _check_kind(path)
        with signals_held():
            _try_beside(os.path.realpath(path))
    except OSError as error:
        reason = error
    else:
        return
    if not _writable_in_place(path, reason):
        raise cannot_write(path, reason)


def _check_kind(path: str) -> None:
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "it is not a regular file", path)


def _try_beside(target: str) -> None:
    temporary, descriptor = create_beside(target)
    try:
        with open(descriptor, "wb") as file:
            file.write(_ROOM)
    finally:
        os.unlink(temporary)


def _writable_in_place(path: str, reason: OSError) -> bool:
    """A single file mounted into a read-only folder can still be written."""
    if reason.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return False
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR))
        return True
    return False


def cannot_write(path: str, error: OSError) -> LocalTrouble:
    """Return the `store_failed` that explains a failure to write `path`."""
    what, hint = _explain(path, error)
    return LocalTrouble("store_failed", f"{path} cannot be written: {what}.", hint)


def _explain(path: str, error: OSError) -> tuple[str, str]:
    other = "or name another folder with --codex-home"
    folder = os.path.dirname(os.path.realpath(path))
    if error.errno == errno.EISDIR:
        return "it is a folder", f"Move it away, {other}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", f"Make room, {other}."
    if error.errno == errno.EROFS:
        return "the file system is read-only", f"Mount it writable, {other}."
    if error.errno == errno.ELOOP:
        return "its symbolic links go in a circle", f"Mend the link, {other}."
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"it is a link into {folder}, which does not exist", f"Make that folder, {other}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission in {folder}{_owner(folder)}", f"Take it over with chown, {other}."
    return error.strerror or type(error).__name__, f"Mend that, {other}."


def _owner(folder: str) -> str:
    with suppress(ImportError, OSError, KeyError):
        import pwd

        return f", which belongs to {pwd.getpwuid(os.stat(folder).st_uid).pw_name}"
    return ""
