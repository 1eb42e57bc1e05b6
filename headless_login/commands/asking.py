"""Asking for the pasted answer, on a terminal or from a pipe, while other things may be said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from headless_login.flows.race import Judge, settles
from headless_login.terminal.countdown import WaitingLine
from headless_login.terminal.input import can_be_asked
from headless_login.terminal.output import Console

if TYPE_CHECKING:
    from headless_login.terminal.prompt import AnswerPrompt

PASTE_LABEL = "Paste the address it ends at: "
SHORT_LABEL = "Paste the address: "
_NARROW = 50  # columns, of a terminal on a phone


class Interrupted(Exception):
    """Ctrl-C, which inside a task must not be a KeyboardInterrupt: that would stop the loop."""


class Asker:
    """Whoever may paste an answer: a person, again and again, or a pipe, once."""

    def __init__(
        self,
        console: Console,
        judge: Judge,
        left: Callable[[], float],
        resized: Callable[[], Callable[[], None] | None] = lambda: None,
    ) -> None:
        """Take what judges the answers, and what returns the seconds that are left.

        `resized` returns what is to be shown when the terminal has got another size, if anything.
        """
        self._console = console
        self._judge = judge
        self._left = left
        self._resized = resized
        self._size = console.size
        self._live: AnswerPrompt | WaitingLine | None = None
        self.can_ask_again = can_be_asked()

    async def ask(self) -> str | None:
        """Return the next answer, or None if there is none and will be none.

        Raises:
            Interrupted: Ctrl-C was pressed at the prompt.
        """
        return await (self._from_terminal() if self.can_ask_again else self._from_pipe())

    async def wait(self) -> None:
        """Show until cancelled that only the browser's answer is waited for."""
        self._live = WaitingLine(self._console, "Waiting for the browser,", self._left)
        await self._live.show(self.look)

    def say(self, text: str) -> None:
        """Say something above what is live on the screen."""
        self._show(lambda: self._console.say(text))

    def look(self) -> None:
        """Notice another size of the terminal; called with every tick and every redraw."""
        if (size := self._console.size) != self._size:
            self._size = size
            if (show := self._resized()) is not None:
                self._show(show)

    def _show(self, show: Callable[[], None]) -> None:
        if self._live is None:
            show()
        else:
            self._live.say_above(show)

    async def _from_terminal(self) -> str | None:
        from headless_login.terminal.prompt import AnswerPrompt

        label = PASTE_LABEL if self._console.size[0] >= _NARROW else SHORT_LABEL
        if self._console.is_dumb:
            self._console.write(label)
        self._live = AnswerPrompt(
            self._console,
            label,
            lambda text: settles(self._judge, text),
            self._left,
            self.look,
        )
        try:
            answer = await self._live.ask()
        except EOFError:
            return None
        if answer is None:
            raise Interrupted
        return answer

    async def _from_pipe(self) -> str | None:
        from headless_login.terminal.input import read_pipe

        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            return None
        text = await read_pipe(sys.stdin.fileno(), lambda got: settles(self._judge, got))
        return text if text.strip() else None
