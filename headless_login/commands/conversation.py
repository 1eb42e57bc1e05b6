"""Waiting for an answer, from the browser and from the person at once, until one has won."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from headless_login.commands import words
from headless_login.commands.context import Context
from headless_login.commands.words import WithoutInput, tell_signed_in
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    RejectedAnswer,
    SignInRefused,
    TimedOut,
)
from headless_login.flows import page
from headless_login.flows.loopback import LoopbackListener
from headless_login.flows.race import Judge, NoWayLeft, PastedAnswers, first_grant, win_by_paste
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.text import one_line
from headless_login.oauth.values import DeviceCode, Grant, Tokens
from headless_login.signin import SignedIn
from headless_login.terminal.countdown import Countdown
from headless_login.terminal.input import can_be_asked, interrupted

if TYPE_CHECKING:
    from headless_login.commands.kept import KeptAttempt
    from headless_login.commands.screen import Screen
    from headless_login.flows.phone import PhonePage
    from headless_login.oauth.identity import Identity
    from headless_login.terminal.prompt import AnswerPrompt

_BROWSER, _PASTE = "The browser brought the answer", "The pasted answer is accepted"
_PHONE = "The phone page brought an answer"


class _Interrupted(Exception):
    """Ctrl-C, which inside a task must not be a KeyboardInterrupt: that would stop the loop."""


class Conversation:
    """One attempt that waits for its answer; leaving the context frees port and terminal.

    The browser is told how it ended: well, if the context ends without an error.
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
        phone: PhonePage | None = None,
    ) -> None:
        """`judge` is the attempt, or what finds it by the answer; `left` returns seconds.

        `screen` may be drawn again when the terminal has got another size, and has the keys of the
        question. On `sockets` the browser is awaited; then `judge` has to be an attempt, which is
        `kept` once nothing can be pasted here any more. On the page `phone` others are awaited.
        """
        self._phone = phone
        self.is_by_phone = False
        self._judge = judge
        self._context = context
        self._left = left
        self._screen = screen
        self._sockets = sockets
        self._kept = kept
        self._ended = self.is_pasted = False
        self._console = context.output.console
        self._pasted = PastedAnswers(judge)
        self._size = self._console.size
        self._live: AnswerPrompt | Countdown | None = None
        self._listeners: dict[str, LoopbackListener | PhonePage] = {}
        self._told = self._told_of_page = False
        self.can_ask_again = context.person is None and can_be_asked()
        self.last_answer = ""

    def __enter__(self) -> Self:
        gc.enable()  # off since the start, for speed; a wait may last, and see much
        self._runner = asyncio.Runner()
        if self._sockets and isinstance(self._judge, Attempt):
            self._listeners[_BROWSER] = LoopbackListener(
                self._judge.request, self._sockets, on_rejected=self._tell_once
            )
        if self._phone is not None:
            self._phone.on_rejected = self._tell_of_page
            self._listeners[_PHONE] = self._phone
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
    async def _end(listener: LoopbackListener | PhonePage, error: BaseException | None) -> None:
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
        if isinstance(self._judge, Attempt) and self._judge.user_code is not None:
            return wait_for_approval(self._judge, self._context)
        ways = {_PASTE: self._win_by_paste()}
        if _BROWSER in self._listeners:
            ways = {_BROWSER: self._listeners[_BROWSER].wait(), **ways}
        if _PHONE in self._listeners:  # last: what it brings may be a stranger's
            ways[_PHONE] = self._listeners[_PHONE].wait()
        reason: BaseException
        try:
            way, grant = self._runner.run(first_grant(ways, self._left()))
        except NoWayLeft:
            reason = WithoutInput(ended=self._ended)
        except _Interrupted:
            reason = KeyboardInterrupt()
        else:
            self.is_pasted, self.is_by_phone = way is _PASTE, way is _PHONE
            if self._screen is not None:
                self._context.say(f"{way}; fetching the tokens…")
            return grant
        raise reason

    def goes_on_after(self, refused: HeadlessLoginError) -> bool:
        """Return whether another answer is awaited although the issuer has refused a grant.

        It refuses the code of a paste that was damaged, too (`invalid_grant`): the right one is
        still good. A person is told and asked again by the next `win`. Nothing that came by the
        phone's page ends the sign-in, as it may be a stranger's.
        """
        if self._phone is not None and self.is_by_phone and _is_of_answer(refused):
            self._phone.refuse(f"{refused.message} {words.STILL_WAITING}")
            refused.pending, refused.command = words.STILL_WAITING, ""
            self._context.output.tell_rejected(refused)
            return True
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

    def _tell_of_page(self, rejected: SignInRefused) -> None:
        """Tell a program of each wrong answer on the phone's page, and the person of the first."""
        output = self._context.output
        output.events.emit("rejected", error=rejected.error, message=rejected.message)
        if not self._told_of_page:
            self._told_of_page = True
            self._show(lambda: output.say(f"{words.WRONG_ON_PAGE} {rejected.message}"))

    @property
    def confirm(self) -> Callable[[Identity], bool] | None:
        """What is asked whose sign-in it is, where the page has brought it; else None."""
        if not self.is_by_phone:
            return None
        is_named = isinstance(self._judge, Attempt) and bool(self._judge.expect)
        return (lambda _: True) if is_named else self._is_confirmed

    def _is_confirmed(self, identity: Identity) -> bool:
        """Ask on the terminal, as long as the sign-in has time, whether it is the right one."""
        from headless_login.terminal.prompt import YesOrNo

        if not can_be_asked():  # it has become a program in the background
            return False
        name = words.whole_name(identity)
        target = self._judge.to if isinstance(self._judge, Attempt) else ""
        label = words.CONFIRM.format(one_line(target) or "this machine", name)
        if len(label) + len("yes") >= self._console.size[0]:  # all of the name has to be seen
            self._console.write(f"{words.CAME_BY_PAGE}\n{name}\n")
            label = words.CONFIRM_THAT.format("it" if target else "this machine")
        question = YesOrNo(self._console, label, self._left)
        with suppress(TimeoutError):
            answer = self._runner.run(asyncio.wait_for(question.is_yes(), self._left()))
            if answer is None:
                raise KeyboardInterrupt
            return answer
        raise TimedOut("Timed out waiting for the sign-in to be confirmed.")

    async def _win_by_paste(self) -> Grant | None:
        grant = await win_by_paste(self._pasted, self._ask, self._reject)
        if grant is None and self._listeners:
            self._live = None
            self._tell_how_it_goes_on()
            what = "the phone" if _PHONE in self._listeners else "the browser"
            self._live = Countdown(self._console, f"Waiting for {what},", self._left)
            await self._live.show(self._look_aside)
        return grant

    def _tell_how_it_goes_on(self) -> None:
        """Say that the browser alone is awaited, and how an answer can be given nevertheless."""
        if self._kept is not None and not self._kept.is_kept:
            self._kept.keep()
            if self._kept.is_kept:
                self._context.say(words.NO_MORE_ASKED)
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

        label = words.paste_label(self._console.size[0])
        keys = None if self._screen is None else self._screen.keys()
        self._live = AnswerPrompt(
            self._console, label, self._pasted.settles, self._left, self._look, keys
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


def _is_of_answer(error: HeadlessLoginError) -> bool:
    """Return whether an error is the fault of one answer, and not of this machine or its time."""
    if isinstance(error, RejectedAnswer):  # another call has finished the sign-in
        return False
    return isinstance(error, SignInRefused | IssuerTrouble)


def wait_for_approval(
    attempt: Attempt, context: Context, *, first_pause: float | None = None
) -> Grant | Tokens:
    """Ask the issuer again and again about a one-time code, with the time left on the screen.

    The code expires `expires_in` seconds from now. `first_pause` is in seconds; without it, it is
    an interval like any other.

    Raises:
        SignInRefused: `access_denied`.
        TimedOut: `device_code_expired`.
        IssuerTrouble: the issuer gave no usable answer.
    """
    from headless_login.flows.device import win_by_device_code
    from headless_login.issuer.client import EXCHANGE_TIMEOUT

    gc.enable()  # off since the start, for speed; a wait may last
    assert isinstance(attempt.awaits, DeviceCode)  # noqa: S101  # nosec B101
    code, client = attempt.awaits, context.client(attempt.provider)
    left = context.countdown(code.expires_in)
    line = Countdown(context.output.console, "Waiting for you to approve there,", left)
    told: set[str] = set()

    def tell_once(message: str) -> None:
        if message not in told:
            told.add(message)
            line.say_above(lambda: context.say(f"{message} Asking again."))

    try:
        won = win_by_device_code(
            code,
            lambda rest: client.poll_device_code(code, timeout=min(EXCHANGE_TIMEOUT, rest)),
            first_pause=first_pause,
            clock=context.clock,
            sleep=lambda seconds: line.sleep(seconds, context.clock, context.sleep),
            on_trouble=lambda trouble: tell_once(trouble.message),
        )
    finally:
        line.clear()
    context.say("Approved; fetching the tokens…")
    return won


def conclude(signed_in: SignedIn, context: Context) -> SignedIn:
    """Say who is signed in, and return it."""
    tell_signed_in(context.output, signed_in)
    return signed_in
