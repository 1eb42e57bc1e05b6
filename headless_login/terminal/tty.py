"""The terminal's own state: quiet while a sign-in runs, and restored whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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
