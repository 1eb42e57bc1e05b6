"""Why a file of Codex's cannot be written, in a sentence with the way out; and the probe."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.locks import check_lockable
from headless_login.codex.reading import UNBLOCKED
from headless_login.codex.replace import create_beside, target_of
from headless_login.codex.signals import signals_held
from headless_login.errors import LocalTrouble

# More than any auth.json needs: a full disk must show before the code is spent, not after.
_ROOM = b"\0" * 16384
_FOLDER_REFUSES = (errno.EROFS, errno.EACCES, errno.EPERM)


def check_writable(home: CodexHome) -> None:
    """Prove that auth.json could be written now, and change nothing.

    Raises:
        LocalTrouble: `store_failed`, with the reason.
    """
    refusal = _refusal(home.auth_file)
    if refusal is not None:
        raise cannot_write(home.auth_file, refusal)
    check_lockable(home)


def _refusal(path: str) -> OSError | None:
    """Return what a write is going to fail with: beside and by a rename, or else in place."""
    try:
        target = target_of(path)
    except OSError as error:
        return error
    beside, in_place = _try_beside(target), _try_in_place(target)
    if in_place is None:
        # A single file mounted into a folder that takes no other can still be written.
        return beside if beside and beside.errno not in _FOLDER_REFUSES else None
    if beside or isinstance(in_place, FileNotFoundError):
        return beside
    return None if in_place.errno == errno.EACCES and _is_replaceable(target) else in_place


def _try_beside(target: str) -> OSError | None:
    with signals_held():
        try:
            temporary, descriptor = create_beside(target)
            try:
                with open(descriptor, "wb") as file:
                    file.write(_ROOM)
            finally:
                os.unlink(temporary)
        except OSError as error:
            return error
    return None


def _try_in_place(target: str) -> OSError | None:
    try:
        os.close(os.open(target, os.O_RDWR | UNBLOCKED))
    except OSError as error:
        return error
    return None


def _is_replaceable(target: str) -> bool:
    """Tell whether a file that is not ours to write can be renamed over, for all one can see."""
    folder = os.path.dirname(target)
    in_folder, in_file = os.stat(folder), os.stat(target)
    if in_folder.st_mode & stat.S_ISVTX:
        return os.geteuid() in (in_folder.st_uid, in_file.st_uid)
    with suppress(OSError, AttributeError):
        return _mount_of(target) == _mount_of(folder)
    return True


def _mount_of(path: str) -> str:
    """Return the mount that a path lies on; a single mounted file has its own (Linux)."""
    descriptor = os.open(path, os.O_PATH)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as lines:
            return next((line for line in lines if line.startswith("mnt_id:")), "")
    finally:
        os.close(descriptor)


def cannot_write(path: str, error: OSError) -> LocalTrouble:
    """Return the `store_failed` that explains a failure to write `path`."""
    what, hint = _explain(path, error)
    return LocalTrouble("store_failed", f"{path} cannot be written: {what}.", hint)


def _explain(path: str, error: OSError) -> tuple[str, str]:
    other = "or name another folder with --codex-home"
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
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
        refuses = f"no permission in {folder}, which belongs to {_owner(folder)}"
        if os.access(folder, os.W_OK):
            refuses = f"no permission: it belongs to {_owner(target)}"
        return refuses, f"Take it over with chown, {other}."
    return error.strerror or type(error).__name__, f"Mend that, {other}."


def _owner(path: str) -> str:
    with suppress(ImportError, OSError, KeyError):
        import pwd

        return pwd.getpwuid(os.stat(path).st_uid).pw_name
    return "somebody else"
