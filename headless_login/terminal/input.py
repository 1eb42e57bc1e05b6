"""What standard input is, a terminal made quiet, and an answer taken from a pipe."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from typing import Any, TextIO


def can_be_asked(
    *,
    stdin: TextIO | None = None,
    platform: str = sys.platform,
    is_console: Callable[[int], bool] | None = None,
) -> bool:
    """Return whether standard input is a person's: in the background a terminal is not ours.

    `stdin` is the process's own by default; `is_console` tells a console from NUL, by default as
    Windows does.
    """
    stdin = stdin or sys.stdin
    if stdin is None or stdin.closed or not stdin.isatty():
        return False
    if sys.platform == "win32" or platform == "win32":
        return (is_console or is_windows_console)(stdin.fileno())
    try:
        return os.tcgetpgrp(stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal that controls another session
        return True


def is_windows_console(
    descriptor: int,
    *,
    handle_of: Callable[[int], int] | None = None,
    get_console_mode: Callable[[int, Any], int] | None = None,
) -> bool:
    """Tell a console from NUL, which counts as a terminal there, too (GetConsoleMode).

    Without arguments these are msvcrt's and kernel32's own functions.
    """
    import ctypes

    if handle_of is None or get_console_mode is None:
        import msvcrt

        console: Any = msvcrt
        windows: Any = ctypes
        handle_of = console.get_osfhandle
        get_console_mode = windows.windll.kernel32.GetConsoleMode
    mode = ctypes.c_ulong()
    return bool(get_console_mode(handle_of(descriptor), ctypes.byref(mode)))


def has_input() -> bool:
    """Return whether anything can come from standard input: from a person, a file or a pipe.

    A pipe that another process holds open can.
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
    """Return whether a file or a pipe already holds something."""
    try:
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return has_input()
        # A socket that is ended looks as if it held something.
        return stat.S_ISFIFO(status.st_mode) and _polled(descriptor)[0]
    except (AttributeError, OSError, ValueError):
        return False


def is_silent() -> bool:
    """Return whether standard input is an open pipe into which nothing was written yet."""
    try:
        descriptor = sys.stdin.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return is_pipe and not any(_polled(descriptor))
    except (AttributeError, OSError, ValueError):
        return False


def has_hung_up(descriptor: int) -> bool:
    """Return whether a terminal, or the other end of a pipe, is gone (POSIX)."""
    return _polled(descriptor)[1]


def interrupted() -> bool:
    """Return whether Ctrl-C has come as a sequence, of which the terminal makes no signal (POSIX).

    While `quiet_input` holds and nothing is asked; whatever else was typed is dropped.
    """
    if sys.platform == "win32" or not can_be_asked():
        return False
    from headless_login.terminal.keys import PlainKeys

    descriptor, typed = sys.stdin.fileno(), b""
    while _polled(descriptor)[0] and (chunk := _read(descriptor)):
        typed += chunk
    return "\x03" in PlainKeys().of(typed.decode(errors="ignore"))


def _is_ended(descriptor: int) -> bool:
    """Return whether a pipe is empty and no process is left that could write into it."""
    holds_something, has_ended = _polled(descriptor)
    return has_ended and not holds_something


def _polled(descriptor: int) -> tuple[bool, bool]:
    """Return whether a pipe holds something, and whether its other end is closed."""
    if sys.platform == "win32":
        from headless_login.windows import pipe_state

        return pipe_state(descriptor)
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    states = sum(state for _, state in poll.poll(0))  # one descriptor: one state at most
    return bool(states & select.POLLIN), bool(states & select.POLLHUP)


@contextmanager
def quiet_input() -> Iterator[None]:
    """Switch off echo and the line limit of terminal input; restore both at the end.

    From before the address is shown: a paste that comes early must neither be echoed (it holds a
    code) nor cut at 4095 bytes. What is left unread at the end is dropped, so that the rest of a
    paste never reaches the shell as a command.
    """
    # On Windows the prompt itself switches the console's mode. Changing a terminal from the
    # background would stop the program.
    if sys.platform == "win32" or not can_be_asked():
        yield
        return
    import termios

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


def keep_quiet() -> None:
    """Switch echo off again: a shell that has continued this program may have switched it on."""
    if sys.platform == "win32":
        return
    import termios

    with suppress(OSError, ValueError, termios.error):
        descriptor = sys.stdin.fileno()
        now = termios.tcgetattr(descriptor)
        if now[3] & (termios.ECHO | termios.ICANON) and os.tcgetpgrp(descriptor) == os.getpgrp():
            now[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(descriptor, termios.TCSANOW, now)


def forget_typed() -> None:
    """Drop what was typed and not read yet: it cannot have been meant for the next question."""
    if sys.platform == "win32":
        return
    import termios

    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


_LONGEST = 64 * 1024  # bytes
_SETTLES = 0.2  # seconds of silence after a line break: the writer may be waiting for us
_GIVEN_UP = 2.0  # after what is no answer, or has no line break: more of it may be on its way


async def read_pipe(
    descriptor: int,
    enough: Callable[[str], bool],
    *,
    settles: float = _SETTLES,
    given_up: float = _GIVEN_UP,
) -> str:
    """Return all that comes until the end, or until a silence after something to be judged.

    `settles` is that silence, in seconds, after a line that is `enough`; `given_up` after any other
    line, or an answer without a line break.
    """
    import asyncio  # not before the address is on the screen

    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stop = _watch(descriptor, chunks)
    content = b""
    try:
        while len(content) <= _LONGEST:
            try:
                patience = _patience(content, enough, settles, given_up)
                chunk = await asyncio.wait_for(chunks.get(), patience)
            except TimeoutError:
                break
            if not chunk:
                break
            content += chunk
    finally:
        stop()
    return _decode(content)


def _patience(
    content: bytes, enough: Callable[[str], bool], settles: float, given_up: float
) -> float | None:
    """Return how long more may be waited for, in seconds; None is until the end."""
    is_line, is_enough = content.endswith(b"\n"), bool(content) and enough(_decode(content))
    if is_line and is_enough:
        return settles
    return given_up if is_enough or (is_line and content.strip()) else None


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
    except OSError:  # a file, of which epoll knows nothing and which never blocks
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
        with suppress(RuntimeError):  # the loop is closed, as the wait has ended
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
