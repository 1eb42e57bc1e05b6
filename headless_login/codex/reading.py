"""Reading a file that may be anything: a pipe, a device, far too long."""

from __future__ import annotations

import errno
import os
import stat

LONGEST = 4 * 1024 * 1024  # bytes; no file of Codex's comes near

# Opening a pipe would wait for its writer, and a terminal would become ours.
UNBLOCKED = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def read_regular(path: str) -> tuple[bytes, os.stat_result]:
    """Return a regular file's content and status, without ever waiting for another program.

    Raises:
        OSError: it is missing, unreadable, too long or no regular file; `strerror` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | UNBLOCKED)
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
