"""Replacing a file whole: the old content or the new one, never anything between.

Temporary file in the same folder, 0600 from its first byte, fsync, rename, fsync of the folder;
a symbolic link is followed and kept. Where a rename is refused (a single file mounted into a
container), the file is written in place and put back if that fails.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

from headless_login.codex.ownership import check_link, give_to_owner
from headless_login.codex.reading import UNBLOCKED, check_regular
from headless_login.codex.signals import signals_held

_REFUSED = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS}
_NOT_RENAMED = {errno.EBUSY, errno.EXDEV}  # says nothing about why the file is not writable
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

# What is left of a mounted file. Codex 0.169.0 answers exit code 1 to it, as without a file; an
# empty object it reports as signed in.
_SIGNED_OUT = b'{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": null\n}'


def replace_file(path: str, content: bytes) -> bool:
    """Replace what `path` finally names; tells whether it had to be written in place.

    Raises:
        OSError: nothing was changed, and no temporary file is left.
    """
    target = target_of(path)
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
            known = error.errno in _REFUSED and refused.errno not in _NOT_RENAMED
            raise (refused if known else error) from None
    return True


def remove_file(path: str) -> bool:
    """Remove what `path` finally names, keeping a symbolic link; tells whether there was one.

    A mounted file, which cannot be removed, is left without any sign-in in it.
    """
    target = target_of(path)
    with signals_held():
        try:
            os.unlink(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _REFUSED or not os.path.isfile(target):
                raise
            _write_in_place(target, _SIGNED_OUT)
        else:
            _sync_folder(os.path.dirname(target))
    return True


def target_of(path: str) -> str:
    """Return what a chain of symbolic links finally names: a regular file, or nothing yet.

    Raises:
        OSError: the links go in a circle, or lead to a folder, a device or where they must not.
    """
    target = os.path.realpath(path)
    if os.path.islink(target):  # it could not be resolved
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    with suppress(FileNotFoundError):
        check_regular(os.stat(target), path)
    check_link(path, target)
    return target


def create_beside(target: str) -> tuple[str, int]:
    """Create an empty file (0600) in the folder of `target`, named as Codex names its own."""
    while True:
        name = f".auth-{secrets.token_urlsafe(6)}"
        path = os.path.join(os.path.dirname(target), name)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | UNBLOCKED, 0o600)
            _make_private(descriptor)  # a umask can have taken even the owner's rights
            return path, descriptor


def _write_beside_and_rename(target: str, content: bytes) -> None:
    temporary, descriptor = create_beside(target)
    try:
        with open(descriptor, "wb") as file:
            give_to_owner(descriptor, _whose(target))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(target))


def _whose(target: str) -> str:
    return target if os.path.exists(target) else os.path.dirname(target)


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # some file systems and Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_in_place(target: str, content: bytes) -> None:
    descriptor = os.open(target, os.O_RDWR | UNBLOCKED | _NO_FOLLOW)
    with open(descriptor, "r+b", buffering=0) as file:
        check_regular(os.fstat(descriptor), target)
        _make_private(descriptor)
        before = file.read()
        try:
            _rewrite(descriptor, content)
        except OSError:
            with suppress(OSError):
                _rewrite(descriptor, before)
            raise


def _make_private(descriptor: int) -> None:
    with suppress(OSError, AttributeError):  # a file system without modes, or Windows
        os.fchmod(descriptor, 0o600)


def _rewrite(descriptor: int, content: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)
