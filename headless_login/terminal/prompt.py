"""Taking one pasted answer from a terminal: any length, any number of lines, never echoed.

The answer holds an authorization code, so the screen shows how much was pasted, not what.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, VSplit, Window
from prompt_toolkit.output import DummyOutput, Output, create_output

from headless_login.terminal.countdown import EVERY, time_left
from headless_login.terminal.output import Console

# A pasted line break looks like the Enter key unless the terminal marks pastes: an Enter that is
# followed by more within this time (seconds) was part of the paste.
_ENTER_SETTLES = 0.15
# Columns that the count of characters and the time take.
_BESIDE_LABEL = 32
_LONGEST = 64 * 1024 + 1


class AnswerPrompt:
    """One question on the terminal; `ask` may be cancelled from another task."""

    def __init__(
        self,
        console: Console,
        label: str,
        enough: Callable[[str], bool],
        left: Callable[[], float | None],
        look: Callable[[], None],
    ) -> None:
        """`enough` tells that a marked paste needs no Enter after it.

        `left` returns the seconds that are left to answer in, None for no end; `look` is called
        after each redraw, and so after each change of the terminal's size.
        """
        self._console = console
        self._label = label
        self._enough = enough
        self._left = left
        self._text = ""
        self._application: Application[str | None] = Application(
            layout=Layout(VSplit([Window(self._control(), height=1), self._clock()])),
            key_bindings=self._keys(),
            output=_output(console),
            refresh_interval=EVERY,
            erase_when_done=True,
        )
        self._look = look
        self._application.after_render += self._rendered

    async def ask(self) -> str | None:
        """Return what was pasted, or None after Ctrl-C (which must not be raised in a task).

        Raises:
            EOFError: Ctrl-D on an empty answer, or the terminal is gone.
        """
        return await self._application.run_async(handle_sigint=False)

    def _rendered(self, _: object) -> None:
        # Later, not now: what it shows must not come in the middle of a redraw.
        asyncio.get_running_loop().call_soon(self._look)

    def say_above(self, say: Callable[[], None]) -> None:
        """Have something said above the question, which then stands below it as before."""
        if not self._application.is_running:
            say()
            return
        self._application.renderer.erase()
        say()
        self._application.invalidate()

    def _clock(self) -> Window:
        def text() -> str:
            roomy = self._console.size[0] >= len(self._label) + _BESIDE_LABEL
            left = self._left()
            return f"  {time_left(left)}" if roomy and left is not None else ""

        return Window(FormattedTextControl(text), height=1, dont_extend_width=True)

    def _control(self) -> FormattedTextControl:
        return FormattedTextControl(
            lambda: f"{self._line()} ",  # the blank is where the cursor stands
            focusable=True,
            get_cursor_position=lambda: Point(x=len(self._line()), y=0),
        )

    def _line(self) -> str:
        count = len("".join(self._text.split()))
        return f"{self._label}({count} characters)" if count else self._label

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        keys.add(Keys.Any)(self._typed)
        keys.add(Keys.BracketedPaste)(self._pasted)
        keys.add(Keys.ControlM)(self._entered)
        keys.add(Keys.ControlJ)(self._entered)
        keys.add(Keys.Backspace)(self._rubbed_out)
        keys.add(Keys.ControlU)(self._cleared)
        keys.add(Keys.ControlC)(self._interrupt)
        keys.add(Keys.ControlD)(self._ended)
        keys.add(Keys.ControlZ)(lambda event: event.app.suspend_to_background())
        return keys

    def _typed(self, event: KeyPressEvent) -> None:
        if len(event.data) == 1 or event.data.isprintable():
            self._add(event.data)

    def _add(self, text: str) -> None:
        self._text = (self._text + text)[:_LONGEST]

    def _pasted(self, event: KeyPressEvent) -> None:
        self._add(event.data)
        if self._enough(self._text):
            event.app.exit(result=self._text)

    def _entered(self, event: KeyPressEvent) -> None:
        self._add("\n")
        length = len(self._text)

        def settle() -> None:
            if len(self._text) != length or not event.app.is_running or event.app.is_done:
                return
            if self._text.strip():
                event.app.exit(result=self._text)
            else:
                self._text = ""  # ssh's escapes begin with Enter, and so do impatient people

        asyncio.get_running_loop().call_later(_ENTER_SETTLES, settle)

    def _rubbed_out(self, event: KeyPressEvent) -> None:  # noqa: ARG002
        self._text = self._text[:-1]

    def _cleared(self, event: KeyPressEvent) -> None:  # noqa: ARG002
        self._text = ""

    def _interrupt(self, event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    def _ended(self, event: KeyPressEvent) -> None:
        if not self._text:
            event.app.exit(exception=EOFError)


def _output(console: Console) -> Output:
    if console.is_dumb:
        return DummyOutput()
    output = create_output(stdout=console.stream)
    if sys.platform != "win32":
        # Do not ask the terminal where its cursor is: a late reply would land in the shell.
        output.enable_cpr = False  # type: ignore[attr-defined]
    return output
