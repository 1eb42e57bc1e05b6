"""Waiting for an answer by every way that is open at once, until one has won."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType

from headless_login.commands import words
from headless_login.commands.context import Context
from headless_login.commands.words import WithoutInput, tell_signed_in
from headless_login.errors import HeadlessLoginError, RejectedAnswer
from headless_login.flows import page
from headless_login.flows.race import (
    Judge,
    Listener,
    NoWayLeft,
    PastedAnswers,
    first_grant,
    win_by_paste,
)
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.values import Grant, Tokens
from headless_login.signin import SignedIn
from headless_login.terminal.countdown import Countdown, time_left
from headless_login.terminal.input import can_be_asked, interrupted
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

    from headless_login.commands.device import OneTimeCode
    from headless_login.commands.kept import KeptAttempt
    from headless_login.commands.phone import PhoneWay
    from headless_login.commands.screen import Screen
    from headless_login.oauth.identity import Identity
    from headless_login.terminal.prompt import AnswerPrompt

# The ways, by what is said when one wins.
_CODE, _BROWSER, _PASTE, _PHONE = (
    "Approved",
    "The browser brought the answer",
    "The pasted answer is accepted",
    "The phone page brought an answer",
)
_ABOUT = 5.0  # seconds; a code comes a little later than the address, and ends with it


class _Interrupted(Exception):
    """Ctrl-C, which inside a task must not be a KeyboardInterrupt: that would stop the loop."""


class Conversation:
    """One sign-in that waits for its answer; leaving the context frees ports and terminal.

    Whoever brought an answer to a page is told how it ended: well, if the context ends without an
    error.
    """

    def __init__(
        self,
        judge: Judge,
        context: Context,
        left: Callable[[], float],
        *,
        screen: Screen | None = None,
        sockets: Sequence[socket.socket] = (),
        kept: KeptAttempt | None = None,
        code: OneTimeCode | None = None,
        phone: PhoneWay | None = None,
        asks: bool = True,
    ) -> None:
        """`judge` is the attempt, or what finds it by the answer; `left` returns seconds.

        `screen` may be drawn again when the terminal has got another size, and has the keys of the
        question. On `sockets` the browser is awaited; then `judge` has to be an attempt, which is
        `kept` once nothing can be pasted here any more. `code` is there already, or a key asks for
        it. On the page `phone` others are awaited. Unless it `asks`, nothing can be pasted.
        """
        self._judge = judge
        self._context = context
        self._left = left
        self._screen = screen
        self._sockets = sockets
        self._kept, self._code, self._phone, self._asks = kept, code, phone, asks
        self._ended = self.is_pasted = self.is_by_phone = False
        self._console = context.output.console
        self._pasted = PastedAnswers(judge)
        self._size = self._console.size
        self._live: AnswerPrompt | Countdown | None = None
        self._listeners: dict[str, Listener] = {}
        self._told = False
        self.can_ask_again = context.person is None and can_be_asked()
        self.last_answer = ""

    def __enter__(self) -> Self:
        gc.enable()  # off since the start, for speed; a wait may last, and see much
        self._runner = asyncio.Runner()
        if self._sockets and isinstance(self._judge, Attempt):
            from headless_login.flows.loopback import LoopbackListener  # and so an HTTP parser

            self._listeners[_BROWSER] = LoopbackListener(
                self._judge.request, self._sockets, on_rejected=self._tell_once
            )
        if self._phone is not None:
            self._phone.stand_beside(self._show)
            self._listeners[_PHONE] = self._phone.page
        if self._code is not None:
            self._code.stand_beside(self._show, lambda: self._asks or bool(self._listeners))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for listener in self._listeners.values():
                self._runner.run(self._end(listener, error))
        finally:
            self._runner.close()

    @staticmethod
    async def _end(listener: Listener, error: BaseException | None) -> None:
        if error is None:
            await listener.conclude(page.success())
        elif isinstance(error, HeadlessLoginError):
            await listener.conclude(page.failure(error.message, error.hint))
        await listener.close()

    def win(self) -> Grant | Tokens:
        """Return what the first answer brings, and say whose it was.

        Raises:
            HeadlessLoginError: it was refused, none came in time, or none can come.
            KeyboardInterrupt: Ctrl-C.
        """
        # A code that is waited for alone has a time of its own.
        timeout = self._left() if self._asks or self._listeners else None
        reason: BaseException
        try:
            way, won = self._runner.run(first_grant(self._ways(), timeout))
        except NoWayLeft:
            reason = WithoutInput(ended=self._ended)
        except _Interrupted:
            reason = KeyboardInterrupt()
        else:
            self.is_pasted, self.is_by_phone = way is _PASTE, way is _PHONE
            if self._screen is not None or way is _CODE:
                self._context.say(f"{way}; fetching the tokens…")
            return won
        raise reason

    def _ways(self) -> dict[str, Coroutine[Any, Any, Grant | Tokens | None]]:
        """Return what is raced; of two at the same moment the first counts.

        That is the code, as what its approval brings is given once, and may be tokens already; the
        phone's page is the last, as what it brings may be a stranger's.
        """
        ways: dict[str, Coroutine[Any, Any, Grant | Tokens | None]] = {}
        if self._code is not None:
            ways[_CODE] = self._code.way.wait()
        if _BROWSER in self._listeners:
            ways[_BROWSER] = self._listeners[_BROWSER].wait()
        ways[_PASTE] = self._win_by_paste()
        if _PHONE in self._listeners:
            ways[_PHONE] = self._listeners[_PHONE].wait()
        return ways

    def goes_on_after(self, refused: HeadlessLoginError) -> bool:
        """Return whether another answer is awaited although the issuer has refused a grant.

        It refuses the code of a paste that was damaged, too (`invalid_grant`): the right one is
        still good. A person is told and asked again by the next `win`.
        """
        if self._phone is not None and self.is_by_phone:
            return self._phone.goes_on_after(refused)
        if refused.error != "invalid_grant" or not self.is_pasted or not self.can_ask_again:
            return False
        refused.pending = words.STILL_WAITING
        self._context.output.tell_rejected(refused)
        return True

    def _tell_once(self, rejected: RejectedAnswer) -> None:
        """Say once that something else came to the port; a flood must not fill the screen."""
        if not self._told:
            self._told = True
            self._show(
                lambda: self._context.say(
                    f"Something else came to the port and was refused: {rejected.message} "
                    "This sign-in goes on waiting."
                )
            )

    @property
    def confirm(self) -> Callable[[Identity], bool] | None:
        """What is asked whose sign-in it is, where the phone's page has brought it; else None."""
        if self._phone is None or not self.is_by_phone:
            return None
        phone, runner = self._phone, self._runner
        return lambda identity: phone.is_confirmed(identity, runner)

    async def _win_by_paste(self) -> Grant | None:
        if self._asks:
            if (grant := await win_by_paste(self._pasted, self._ask, self._reject)) is not None:
                return grant
            self._asks, self._live = False, None
            if self._code is not None:
                self._code.way.leave()
            if awaited := self._awaited():
                self._tell_how_it_goes_on(awaited)
        if not self._awaited():
            return None
        self._live = Countdown(
            self._console, lambda: f"Waiting for {self._awaited()}, {self._time_left()}"
        )
        await self._live.show(self._look_aside)
        return None

    def _awaited(self) -> str:
        """Return what is waited for beside a paste; nothing, if nothing is."""
        code = self._code is not None and self._code.way.is_open
        return words.awaited(
            browser=_BROWSER in self._listeners, phone=_PHONE in self._listeners, code=code
        )

    def _time_left(self) -> str:
        """Return the time of the sign-in, and that of a code where it is another one."""
        left = time_left(self._left())
        if self._code is None or self._code.way.attempt is None:
            return left
        of_code = self._code.way.left
        if not self._asks and not self._listeners:
            return time_left(of_code)
        is_shorter = of_code < self._left() - _ABOUT
        return f"code {time_left(of_code).removesuffix(' left')}, {left}" if is_shorter else left

    def _tell_how_it_goes_on(self, awaited: str) -> None:
        """Say what alone is awaited, and how an answer can be given nevertheless."""
        if self._kept is not None and not self._kept.is_kept and self._kept.is_offered():
            self._kept.keep()
            if self._kept.is_kept:
                self._context.say(words.NO_MORE_ASKED.format(awaited))
                self._console.write(f"{self._kept.command}\n")

    def _look_aside(self) -> None:
        """Notice Ctrl-C, and that the sign-in was finished elsewhere."""
        if interrupted():
            raise _Interrupted
        if self._kept is not None:
            self._kept.check()
        self._look()

    def _reject(self, rejected: RejectedAnswer) -> None:
        """Say why an answer was not taken; only a person can be asked again."""
        if not self.can_ask_again:
            raise rejected
        self._context.output.tell_rejected(rejected)

    async def _ask(self) -> str | None:
        """Return the next answer, or None if there is none and will be none."""
        if self._ended:
            return None
        if self._context.person is not None and isinstance(self._judge, Attempt):
            return self._context.person(self._judge.request)
        answer = await (self._from_terminal() if self.can_ask_again else self._from_pipe())
        self.last_answer = answer or ""
        return answer

    async def _from_terminal(self) -> str | None:
        from headless_login.terminal.prompt import AnswerPrompt, NoMoreAnswers

        keys = None if self._screen is None else self._screen.keys()
        if keys is not None and self._code is not None:
            keys |= self._code.keys()
        self._live = AnswerPrompt(
            self._console, self._label, self._pasted.settles, self._time_left, self._look, keys
        )
        try:
            answer = await self._live.ask()
        except NoMoreAnswers:
            self._ended = True
            return None
        except EOFError:
            return None
        if answer is None:
            raise _Interrupted
        return answer

    def _label(self) -> str:
        """Return the question; that for the address once there is one, or nothing else."""
        has_address = self._screen is None or self._screen.is_offered
        if not has_address and self._code is not None and self._code.way.is_open:
            return words.code_label(self._console.size[0])
        return words.paste_label(self._console.size[0])

    async def _from_pipe(self) -> str | None:
        from headless_login.terminal.input import read_pipe

        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            return None
        text = await read_pipe(sys.stdin.fileno(), self._pasted.settles)
        return text if text.strip() else None

    def _look(self) -> None:
        """Notice another size of the terminal; called with every tick and every redraw."""
        if (size := self._console.size) != self._size:
            self._size = size
            if self._screen is not None and (draw := self._screen.resized()) is not None:
                self._show(draw)

    def _show(self, show: Callable[[], None]) -> None:
        """Show something above what is live on the screen."""
        if self._live is None:
            show()
        else:
            self._live.say_above(show)


def conclude(signed_in: SignedIn, context: Context) -> SignedIn:
    """Say who is signed in, and return it."""
    tell_signed_in(context.output, signed_in)
    return signed_in
