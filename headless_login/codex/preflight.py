"""Whether auth.json could be written, proved before the address is shown; and why it cannot."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from headless_login.codex.files import Folder
from headless_login.codex.home import CodexHome
from headless_login.codex.links import PATH_ONLY
from headless_login.codex.locks import check_lockable
from headless_login.codex.replace import try_replacing
from headless_login.errors import FAILED, OK, WARNING, Finding, LocalTrouble
from headless_login.oauth.text import one_line, shell_word

# More than any auth.json needs: a full disk must show before the code is spent, not after.
_ROOM = b"\0" * 16384
_LITTLE_SPACE = 10 * 1024 * 1024  # bytes
_FOLDER_REFUSES = (errno.EROFS, errno.EACCES, errno.EPERM)

_MAKE = "mkdir" if sys.platform == "win32" else "mkdir -m 700 -p"


def check_writable(home: CodexHome, *, owner: Callable[[str], str] | None = None) -> None:
    """Prove that auth.json could be written now, and change nothing.

    `owner` names whose a path is, in the message.

    Raises:
        LocalTrouble: `store_failed`, with the reason.
    """
    refusal = _refusal(home)
    if refusal is not None:
        raise cannot_write(home.auth_file, refusal, owner)


def _refusal(home: CodexHome) -> OSError | None:
    """Return what a write is going to fail with: beside and by a rename, or else in place."""
    try:
        with Folder.of(home.auth_file) as (folder, name):
            refusal = _refusal_in(folder, name)
        if refusal is None:
            check_lockable(home)
        return refusal
    except OSError as error:
        return error


def _refusal_in(folder: Folder, name: str) -> OSError | None:
    beside, in_place = _try_beside(folder), _try_in_place(folder, name)
    if in_place is None:
        # A single file mounted into a folder that takes no other can still be written.
        return beside if beside and beside.errno not in _FOLDER_REFUSES else None
    if beside or isinstance(in_place, FileNotFoundError):
        return beside
    return None if in_place.errno == errno.EACCES and _is_replaceable(folder, name) else in_place


def _try_beside(folder: Folder) -> OSError | None:
    try:
        try_replacing(folder, _ROOM)
    except OSError as error:
        return error
    return None


def _try_in_place(folder: Folder, name: str) -> OSError | None:
    try:
        os.close(folder.open(name, os.O_RDWR))
    except OSError as error:
        return error
    return None


def _is_replaceable(folder: Folder, name: str) -> bool:
    """Return whether a file that is not ours to write can be renamed over, as far as one sees."""
    if sys.platform == "win32":
        return False  # marked read-only, or not ours
    in_folder, in_file = folder.status(), folder.status_of(name)
    if in_folder.st_mode & stat.S_ISVTX:
        return os.geteuid() in (in_folder.st_uid, in_file.st_uid)
    with suppress(OSError, AttributeError):
        # A single mounted file has a mount of its own (Linux).
        return _mount_of(folder.open(name, PATH_ONLY)) == _mount_of(folder.open(".", PATH_ONLY))
    return True


def _mount_of(descriptor: int) -> str:
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as lines:
            return next((line for line in lines if line.startswith("mnt_id:")), "")
    finally:
        os.close(descriptor)


def cannot_write(
    path: str, error: OSError, owner: Callable[[str], str] | None = None
) -> LocalTrouble:
    """Return the `store_failed` that explains a failure to write `path`."""
    what, hint = _explain(path, error, owner or _owner)
    return LocalTrouble("store_failed", f"{path} cannot be written: {what}.", hint)


def _explain(path: str, error: OSError, owner: Callable[[str], str]) -> tuple[str, str]:
    other = "or name another folder with --codex-home"
    target = path
    with suppress(OSError):  # a link can have become something else meanwhile
        target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if error.errno == errno.EISDIR:
        return "it is a folder", f"Move it away, {other}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", f"Make room, {other}."
    if error.errno == errno.EROFS:
        return "the file system is read-only", f"Mount it writable, {other}."
    if error.errno == errno.ELOOP:
        return "its symbolic links go in a circle", f"Fix the link, {other}."
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"it is a link into {folder}, which does not exist", f"Make that folder, {other}."
    if error.errno == errno.EBUSY:
        reason = error.strerror or "it is in use"
        return reason, f"Close it there (an editor, a virus scanner, a backup), {other}."
    if error.errno in (errno.EACCES, errno.EPERM):
        what, hint = _not_permitted(target, folder, owner)
        return what, f"{hint}, {other}."
    return error.strerror or type(error).__name__, f"Fix that, {other}."


def _not_permitted(path: str, folder: str, owner: Callable[[str], str]) -> tuple[str, str]:
    """Return why a file, or the folder that it is in, may not be written, and what to do."""
    if sys.platform == "win32":
        with suppress(OSError):
            if os.stat(path).st_file_attributes & stat.FILE_ATTRIBUTE_READONLY:
                return "it is marked read-only", f'Run attrib -R "{path}"'
        return f"no permission in {folder}", "Ask who owns it"
    if os.access(folder, os.W_OK):
        return f"no permission: it belongs to {owner(path)}", "Take it over with chown"
    return f"no permission in {folder}, which belongs to {owner(folder)}", "Take it over with chown"


def _owner(path: str) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(OSError, KeyError):
            return pwd.getpwuid(os.stat(path).st_uid).pw_name
    return "another user"


# For `doctor`: the same, as findings.


def check_folder(home: CodexHome, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the folder itself: is it there, may it be written, is there room (§6)."""
    name, path = "folder", one_line(home.path)
    there = home.path
    while not os.path.lexists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if os.path.isdir(home.path):
        yield Finding(name, OK, f"{path} is there.")
        yield from _check_permissions(home)
    elif there == home.path:
        message = f"{path} is no folder, or cannot be entered."
        yield Finding(name, FAILED, message, "Move it away, or name another with --codex-home.")
    elif not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):
        message = f"{path} does not exist and cannot be made: no permission in {one_line(there)}."
        yield Finding(name, FAILED, message, "Name another folder with --codex-home.")
    elif environ.get("CODEX_HOME"):
        message = f"{path} does not exist, and Codex does not start with such a CODEX_HOME."
        yield Finding(name, WARNING, message, f"{_MAKE} {shell_word(home.path)}")
    else:
        yield Finding(name, OK, f"{path} does not exist yet; a sign-in makes it.")
    yield check_space(there)


def check_space(path: str) -> Finding:
    """Return how much room there is where a path lies."""
    from shutil import disk_usage

    free, nodes = disk_usage(path).free, 1
    if hasattr(os, "statvfs"):
        found = os.statvfs(path)
        nodes = found.f_favail or not found.f_files  # some file systems do not count them
    status = OK if free >= _LITTLE_SPACE and nodes else WARNING if free and nodes else FAILED
    shown = f"{free // 1024**2} MiB are free" if nodes else "No inode is free"
    return Finding("space", status, f"{shown}.", "" if status == OK else "Make room on that disk.")


def _check_permissions(home: CodexHome) -> Iterator[Finding]:
    name, wrong = "permissions", []
    # A group is often the user's own.
    for path, mask, change in ((home.path, 0o002, "o-w"), (home.auth_file, 0o077, "600")):
        with suppress(OSError):
            if os.name == "posix" and os.stat(path).st_mode & mask:
                message = f"Other users can change or read {one_line(path)}."
                wrong.append(Finding(name, WARNING, message, f"chmod {change} {shell_word(path)}"))
    try:
        check_writable(home, owner=_nameless_owner)
    except LocalTrouble as trouble:
        wrong.append(trouble.finding(name))
    alone = ", and by this user alone" if os.name == "posix" else ""  # else nobody has looked
    yield from wrong or [Finding(name, OK, f"auth.json can be written{alone}.")]


def _nameless_owner(path: str) -> str:
    if sys.platform != "win32":
        with suppress(OSError):
            return {os.geteuid(): "you", 0: "root"}.get(os.stat(path).st_uid, "another user")
    return "another user"
