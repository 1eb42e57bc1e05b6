"""What standard input is, a terminal made quiet, and an answer taken from a pipe."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def can_be_asked() -> bool:
    """Tell whether standard input is a person's: in the background a terminal is not ours."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        return False
    if sys.platform == "win32":
        return _is_windows_console(sys.stdin.fileno())
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal that controls another session
        return True


def _is_windows_console(descriptor: int) -> bool:
    """Tell a console from NUL, which counts as a terminal there, too (GetConsoleMode)."""
    import ctypes
    import msvcrt

    console: Any = msvcrt
    windows: Any = ctypes
    mode = ctypes.c_ulong()
    handle = console.get_osfhandle(descriptor)
    return bool(windows.windll.kernel32.GetConsoleMode(handle, ctypes.byref(mode)))


def has_input() -> bool:
    """Tell whether anything can come from standard input: from a person, a file or a pipe.

    A pipe that somebody holds open can; nobody knows whether it will.
    """
    if sys.stdin is None or sys.stdin.closed:
        return False
    if sys.stdin.isatty():
        return can_be_asked()
    try:
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return status.st_size > os.lseek(descriptor, 0, os.SEEK_CUR)
        return not stat.S_ISCHR(status.st_mode) and not _is_ended(descriptor)
    except (OSError, ValueError):
        return False


def input_is_ready() -> bool:
    """Tell whether a file or a pipe already holds something (POSIX)."""
    import select

    try:
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return has_input()
        if not stat.S_ISFIFO(status.st_mode):
            return False  # a socket that is ended looks as if it held something
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return any(state & select.POLLIN for _, state in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


def is_silent() -> bool:
    """Tell whether standard input is a pipe into which nobody has written yet (POSIX)."""
    import select

    try:
        status = os.fstat(sys.stdin.fileno())
        return stat.S_ISFIFO(status.st_mode) and not select.select([sys.stdin], [], [], 0)[0]
    except (AttributeError, OSError, ValueError):
        return False


def _is_ended(descriptor: int) -> bool:
    """Tell whether a pipe is empty and has nobody left who could write into it."""
    import select

    if not hasattr(select, "poll"):
        return False  # Windows; reading will show it
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    states = [state for _, state in poll.poll(0)]
    return any(state & select.POLLHUP and not state & select.POLLIN for state in states)


@contextmanager
def quiet_input() -> Iterator[None]:
    """Switch off echo and the line limit of terminal input; restore both at the end.

    From before the address is shown: a paste that comes early must neither be echoed (it holds a
    code) nor cut at 4095 bytes. What is left unread at the end is dropped, so that the rest of a
    paste never reaches the shell as a command.
    """
    try:
        import termios
    except ImportError:  # Windows: the prompt itself switches the console's mode
        yield
        return
    if not can_be_asked():  # changing a terminal from the background stops the program
        yield
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (AttributeError, ValueError, OSError, termios.error):
        yield
        return
    quiet = [*before]
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


_LONGEST = 64 * 1024  # bytes
_SETTLES = 0.2  # seconds of silence after a line break: the writer may be waiting for us
_GIVEN_UP = 2.0  # after what is no answer, or has no line break: more of it may be on its way


async def read_pipe(descriptor: int, enough: Callable[[str], bool]) -> str:
    """Return all that comes until the end, or until a silence after something to be judged.

    The silence is short after an answer that is `enough`, and longer after any other line.
    """
    import asyncio  # not before the address is on the screen

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
    import asyncio

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
