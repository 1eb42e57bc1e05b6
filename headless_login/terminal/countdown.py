"""One live line with the time that is left, on a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headless_login.terminal.input import interrupted
from headless_login.terminal.output import Console

EVERY = 1.0  # seconds between two looks at the clock
_CLEARED = "\r\x1b[K"


def time_left(seconds: float) -> str:
    """Return `14:59 left`, or with hours where there are any."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    before = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{before}:{whole % 60:02} left"


class Countdown:
    """A line that says what is waited for and how long; nothing where it cannot be rewritten."""

    def __init__(self, console: Console, text: str, left: Callable[[], float]) -> None:
        """`left` returns the seconds that are left."""
        self._console = console
        self._text = text
        self._left = left
        self._shown = False

    async def show(self, look: Callable[[], None] = lambda: None) -> None:
        """Show it until cancelled, and then leave no trace; `look` is called with every tick."""
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
        """Write it again, with the time that is left now."""
        line = f"{self._text} {time_left(self._left())}"
        if not self._console.is_dumb and len(line) < self._console.size[0]:
            self._shown = True  # before it is: a signal may come in between
            self._console.write(f"{_CLEARED}{line}")

    def sleep(
        self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Sleep, and show meanwhile the time that is left."""
        until = clock() + seconds
        while (rest := until - clock()) > 0:
            self.tick()
            sleep(min(EVERY, rest))
            if interrupted():
                raise KeyboardInterrupt

    def clear(self) -> None:
        """Take it off the screen."""
        if self._shown:
            self._console.write(_CLEARED)
            self._shown = False
