"""Taking a pasted answer from a pipe, which need not be closed after it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from headless_login.errors import TimedOut

_LONGEST = 64 * 1024  # bytes
_SETTLES = 0.2  # seconds of silence after a line break: the writer may be waiting for us


def read_pipe(
    descriptor: int,
    enough: Callable[[str], bool],
    *,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Return all that comes until the end, or until a silence after an answer that is `enough`.

    Raises:
        TimedOut: neither came before `deadline`, a time of `clock`.
    """
    chunks: SimpleQueue[bytes] = SimpleQueue()
    # A thread, because a pipe cannot be waited for with a time-out on Windows.
    threading.Thread(target=_feed, args=(descriptor, chunks), daemon=True).start()
    content = b""
    while len(content) <= _LONGEST:
        try:
            chunk = chunks.get(timeout=_SETTLES)
        except Empty:
            if content.endswith(b"\n") and enough(_decode(content)):
                break
            if clock() >= deadline:
                raise TimedOut("No answer came from standard input in time.") from None
            continue
        if not chunk:
            break
        content += chunk
    return _decode(content)


def _feed(descriptor: int, chunks: SimpleQueue[bytes]) -> None:
    try:
        while chunk := os.read(descriptor, 65536):
            chunks.put(chunk)
    except OSError:
        pass  # a closed pipe is an ended one
    chunks.put(b"")


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # what Windows' shells write
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8", errors="replace")
