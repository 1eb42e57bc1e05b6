"""One live line with the time that is left, on a terminal."""

from __future__ import annotations

import sys

from headless_login.terminal.input import keep_quiet
from headless_login.terminal.output import Console
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

EVERY = 1.0  # seconds between two looks at the clock
HINT = "(? for keys)"
BESIDE_LABEL = 22  # columns that the count of characters, or the hint, takes before the time
CLEARED = "\r\x1b[K"
_MARK_PASTES = ("\x1b[?2004h", "\x1b[?2004l")  # bracketed paste, on and off


def time_left(seconds: float) -> str:
    """Return `14:59 left`, or with hours where there are any."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    before = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{before}:{whole % 60:02} left"


class Countdown:
    """A line that says what is waited for and how long; nothing where it cannot be rewritten."""

    def __init__(self, console: Console, text: Callable[[], str]) -> None:
        """`text` returns the line as it is true now."""
        self._console = console
        self._text = text
        self._shown = False

    async def show(self, look: Callable[[], None] = lambda: None) -> None:
        """Show it until cancelled, and then leave no trace; `look` is called with every tick."""
        import asyncio

        try:
            while True:
                look()
                self.tick()
                await asyncio.sleep(EVERY)
        finally:
            self.clear()

    def say_above(self, say: Callable[[], None]) -> None:
        """Have something said above it."""
        shown = self._shown
        self.clear()
        say()
        if shown:
            self.tick()

    def tick(self) -> None:
        """Write it again, as it is now."""
        line = self._text()
        if not self._console.is_dumb and len(line) < self._console.size[0]:
            self._shown = True  # before it is: a signal may come in between
            self._console.write(f"{CLEARED}{line}")

    def clear(self) -> None:
        """Take it off the screen."""
        if self._shown:
            self._console.write(CLEARED)
            self._shown = False


def wait_for_sign_of_life(
    console: Console,
    label: Callable[[int], str],
    left: Callable[[], float],
    sockets: Sequence[socket.socket] = (),
    *,
    resized: Callable[[], object] = lambda: None,
) -> None:
    """Show a question until a key, a connection or the end of the time, and load nothing for it.

    What then takes the answer draws the same question, and finds what was typed. `label` is the
    question for so many columns, `left` returns seconds; `resized` is called when the terminal has
    got another size. Where a question cannot be redrawn, or nothing can be waited for, it returns
    at once.
    """
    if sys.platform == "win32" or console.is_dumb:
        return
    import select

    poll, size = select.poll(), console.size
    for each in (sys.stdin, *sockets):
        poll.register(each, select.POLLIN)
    console.write(_MARK_PASTES[0])
    try:
        while (rest := left()) > 0:
            console.write(_question(label(console.size[0]), console.size[0], rest))
            if poll.poll(min(EVERY, rest) * 1000):
                break
            keep_quiet()
            if console.size != size:
                size = console.size
                console.write(CLEARED)
                resized()
    except BaseException:
        console.write(CLEARED + _MARK_PASTES[1])
        raise
    console.write(CLEARED)


def _question(label: str, columns: int, left: float) -> str:
    """Return the question, the hint and the time in one line, with the cursor behind the first."""
    hint = HINT if columns > len(label) + len(HINT) else ""
    time = time_left(left)
    time = time if columns >= len(label) + BESIDE_LABEL + len(time) else ""
    line = f"{label}{hint}".ljust(columns - len(time)) + time
    return f"\r{line}\r\x1b[{len(label)}C" if time else f"\r{line.rstrip()}\r\x1b[{len(label)}C"
