"""Taking one pasted answer from a terminal: any length, any number of lines, never echoed.

The answer holds an authorization code, so the screen shows how much was pasted, not what.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, VSplit, Window
from prompt_toolkit.output import DummyOutput, Output, create_output

from headless_login.terminal.countdown import BESIDE_LABEL, CLEARED, EVERY, HINT
from headless_login.terminal.input import forget_typed, has_hung_up
from headless_login.terminal.keys import PlainKeys
from headless_login.terminal.output import Console

# A pasted line break looks like the Enter key unless the terminal marks pastes, and so does a
# pasted letter like a key: what is followed by more within this time (seconds) was part of it.
_SETTLES = 0.15
_LONGEST = 64 * 1024 + 1


class NoMoreAnswers(Exception):
    """Ctrl-D: the person will paste nothing."""


class AnswerPrompt:
    """One question on the terminal; `ask` may be cancelled from another task."""

    def __init__(
        self,
        console: Console,
        label: Callable[[], str],
        enough: Callable[[str], bool],
        time: Callable[[], str],
        look: Callable[[], None],
        keys: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """`enough` tells that a marked paste needs no Enter after it.

        `label` and `time` return the question and how much time is left, as they are true now;
        `look` is called after each redraw, and so after each change of the terminal's size. `keys`
        is what one key does while nothing is typed.
        """
        self._console = console
        self._label_now = label
        self._one_key = keys or {}
        self._enough = enough
        self._time = time
        self._text = ""
        self._application: Application[str | None] = Application(
            layout=Layout(VSplit([Window(self._control(), height=1), self._clock()])),
            key_bindings=self._keys(),
            input=_keyboard(),
            output=_output(console),
            refresh_interval=EVERY,
            erase_when_done=True,
        )
        self._look = look
        self._application.after_render += self._rendered

    async def ask(self) -> str | None:
        """Return what was pasted, or None after Ctrl-C (which must not be raised in a task).

        Raises:
            NoMoreAnswers: Ctrl-D on an empty answer.
            EOFError: the terminal is gone.
        """
        is_dumb = self._console.is_dumb
        self._console.write(self._label if is_dumb else "")
        try:
            return await self._application.run_async(handle_sigint=False)
        except OSError:
            raise EOFError from None
        finally:
            # What is drawn when a signal comes is not erased otherwise.
            self._console.write("\n" if is_dumb else CLEARED)

    def _rendered(self, _: object) -> None:
        # Later, not now: what it shows must not come in the middle of a redraw.
        asyncio.get_running_loop().call_soon(self._look)

    def say_above(self, say: Callable[[], None]) -> None:
        """Have something said above the question, which then stands below it as before."""
        if not self._application.is_running:
            say()
            return
        if self._console.is_dumb:
            self._console.write("\n")
            say()
            self._console.write(self._label)
            return
        self._application.renderer.erase()
        say()
        self._application.invalidate()

    @property
    def _label(self) -> str:
        return self._label_now()

    def _clock(self) -> Window:
        def text() -> str:
            time = self._time()
            roomy = self._console.size[0] >= len(self._label) + BESIDE_LABEL + len(time)
            return f"  {time}" if roomy and time else ""

        return Window(FormattedTextControl(text), height=1, dont_extend_width=True)

    def _control(self) -> FormattedTextControl:
        return FormattedTextControl(
            lambda: [("", self._counted()), ("class:hint", self._hint()), ("", " ")],
            focusable=True,
            get_cursor_position=lambda: Point(x=len(self._counted()), y=0),
        )

    def _hint(self) -> str:
        roomy = self._console.size[0] > len(self._label) + len(HINT)
        is_empty = self._counted() == self._label
        return HINT if is_empty and self._one_key and roomy else ""

    def _counted(self) -> str:
        text = "".join(self._text.split())
        if not text or text in self._one_key:
            return self._label
        return f"{self._label}({len(text)} character{'s' if len(text) > 1 else ''})"

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
        if event.data >= " " or event.data == "\t":
            self._add(event.data)
        if self._text.strip() in self._one_key:
            self._settle(event.app)

    def _add(self, text: str) -> None:
        self._text = (self._text + text)[:_LONGEST]

    def _pasted(self, event: KeyPressEvent) -> None:
        self._add(event.data)
        if self._enough(self._text):
            event.app.exit(result=self._text)

    def _entered(self, event: KeyPressEvent) -> None:
        self._add("\n")
        self._settle(event.app)

    def _settle(self, application: Application[str | None]) -> None:
        """See whether more comes; if not, this was a key, or the end of the answer."""
        text = self._text

        def settled() -> None:
            if self._text != text or not application.is_running or application.is_done:
                return
            bare = text.strip()
            if self._is_answer(bare):
                application.exit(result=text)
                return
            self._text = ""  # ssh's escapes begin with Enter, and so do impatient people
            if bare:
                self.say_above(self._one_key[bare])

        asyncio.get_running_loop().call_later(_SETTLES, settled)

    def _is_answer(self, bare: str) -> bool:
        return bool(bare) and bare not in self._one_key

    def _rubbed_out(self, event: KeyPressEvent) -> None:  # noqa: ARG002
        self._text = self._text[:-1]

    def _cleared(self, event: KeyPressEvent) -> None:  # noqa: ARG002
        self._text = ""

    def _interrupt(self, event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    def _ended(self, event: KeyPressEvent) -> None:
        if not self._text:
            event.app.exit(exception=NoMoreAnswers)


class YesOrNo(AnswerPrompt):
    """A question that Enter alone answers, by no; what was typed before it does not count."""

    def __init__(self, console: Console, label: str, time: Callable[[], str]) -> None:
        """`time` returns how much time is left, as it is shown."""
        super().__init__(console, lambda: label, lambda _: False, time, lambda: None)

    async def is_yes(self) -> bool | None:
        """Return the answer, None after Ctrl-C; Ctrl-D and a lost terminal are a no."""
        forget_typed()
        try:
            answer = await self.ask()
        except (NoMoreAnswers, EOFError):
            return False
        return None if answer is None else answer.strip().lower() in ("y", "yes")

    def _is_answer(self, bare: str) -> bool:  # noqa: ARG002
        return True

    def _counted(self) -> str:
        return f"{self._label}{''.join(self._text.split())[:3]}"


class _Reader(PosixStdinReader):
    """Reads keys in any mode; and the end, where a lost terminal would be read for ever."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        super().__init__(descriptor, encoding=encoding)
        self._keys = PlainKeys()

    def read(self, count: int = 1024) -> str:
        text = super().read(count)
        self.closed = self.closed or (not text and has_hung_up(self.stdin_fd))
        return self._keys.of(text)


def _keyboard() -> Input:
    keyboard = create_input()
    if sys.platform != "win32":
        from prompt_toolkit.input.vt100 import Vt100Input

        if isinstance(keyboard, Vt100Input):
            keyboard.stdin_reader = _Reader(keyboard.fileno(), sys.stdin.encoding)
    return keyboard


def _output(console: Console) -> Output:
    if console.is_dumb:
        return DummyOutput()
    output = create_output(stdout=console.stream)
    if sys.platform != "win32":
        # Do not ask the terminal where its cursor is: a late reply would land in the shell.
        output.enable_cpr = False  # type: ignore[attr-defined]
    return output
