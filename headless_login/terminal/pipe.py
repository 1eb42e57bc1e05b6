"""Taking a pasted answer from a pipe, which need not be closed after it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

_LONGEST = 64 * 1024  # bytes
_SETTLES = 0.2  # seconds of silence after a line break: the writer may be waiting for us
_GIVEN_UP = 2.0  # after what is no answer, or has no line break: more of it may be on its way


async def read_pipe(descriptor: int, enough: Callable[[str], bool]) -> str:
    """Return all that comes until the end, or until a silence after something to be judged.

    The silence is short after an answer that is `enough`, and longer after any other line.
    """
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stop = _watch(descriptor, chunks)
    content = b""
    try:
        while len(content) <= _LONGEST:
            try:
                chunk = await asyncio.wait_for(chunks.get(), _patience(content, enough))
            except TimeoutError:
                break
            if not chunk:
                break
            content += chunk
    finally:
        stop()
    return _decode(content)


def _patience(content: bytes, enough: Callable[[str], bool]) -> float | None:
    """Return how long more may be waited for, in seconds; None is until the end."""
    is_line, is_enough = content.endswith(b"\n"), bool(content) and enough(_decode(content))
    if is_line and is_enough:
        return _SETTLES
    return _GIVEN_UP if is_enough or (is_line and content.strip()) else None


def _watch(descriptor: int, chunks: asyncio.Queue[bytes]) -> Callable[[], object]:
    """Have all that comes put into the queue, at last nothing; returns what ends that."""
    loop = asyncio.get_running_loop()

    def take() -> None:
        chunk = _read(descriptor)
        if not chunk:
            loop.remove_reader(descriptor)
        chunks.put_nowait(chunk)

    try:
        loop.add_reader(descriptor, take)
    except OSError:  # a file, of which epoll knows nothing and which makes nobody wait
        chunks.put_nowait(_read_all(descriptor))
        chunks.put_nowait(b"")
    except NotImplementedError:  # Windows, where nothing but a thread can wait for a pipe
        _watch_from_thread(descriptor, chunks, loop)
    else:
        return lambda: loop.remove_reader(descriptor)
    return lambda: None


def _watch_from_thread(
    descriptor: int, chunks: asyncio.Queue[bytes], loop: asyncio.AbstractEventLoop
) -> None:
    import threading

    def feed() -> None:
        chunk = b"more"
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            while chunk:
                chunk = _read(descriptor)
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    threading.Thread(target=feed, daemon=True).start()


def _read_all(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _LONGEST and (chunk := _read(descriptor)):
        content += chunk
    return content


def _read(descriptor: int) -> bytes:
    with suppress(OSError):
        return os.read(descriptor, 65536)
    return b""  # a closed pipe is an ended one


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # what Windows' shells write
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8", errors="replace")
