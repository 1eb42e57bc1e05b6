"""`login finish`: the second half of a sign-in that `login start` began in another process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from headless_login.codex.home import CodexHome
from headless_login.codex.pending import refusals
from headless_login.codex.pending.record import PendingSignIn
from headless_login.commands.asking import Asker, Interrupted
from headless_login.commands.command_line import own_command
from headless_login.commands.ready import Ready, make_ready
from headless_login.commands.two_calls.code import FinishCode
from headless_login.commands.two_calls.finding import PendingJudge, device_code_among
from headless_login.commands.two_calls.finishing import Finishing
from headless_login.errors import (
    HeadlessLoginError,
    RejectedAnswer,
    SignInRefused,
    TimedOut,
    WrongUsage,
)
from headless_login.flows.race import NoWayLeft, first_grant, win_by_paste
from headless_login.oauth.values import Grant
from headless_login.signin import SignedIn
from headless_login.terminal.input import (
    can_be_asked,
    has_input,
    input_is_ready,
    is_silent,
    quiet_input,
)
from headless_login.terminal.output import Listeners

PATIENCE = 30.0  # seconds for an address to come from a pipe: whoever calls has it already
_STDIN = "-"


def ready_to_finish(home: CodexHome, listeners: Listeners) -> Ready:
    """Return what a sign-in is finished with; raises as `make_ready`, or `no_pending_login`."""
    if not os.path.isdir(home.path):
        raise refusals.nothing(home.path)
    return make_ready(home, listeners.console)


@dataclass(frozen=True, slots=True)
class Finish:
    """One run of `login finish`; `patience` in seconds for input that nobody announced."""

    finishing: Finishing
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic

    def run(self, answer: str | None, *, wait: bool = True) -> SignedIn:
        """Finish by an answer (`-`: on standard input), or by the one-time code that is pending.

        Without one, what standard input already holds is the answer; else the newest decides.
        Without `wait` the issuer is asked once whether the code was approved.

        Raises:
            HeadlessLoginError: it is not finished; what can still be finished stays pending.
        """
        pending = self.finishing.pending
        waiting = pending.waiting()
        if answer is None and wait and input_is_ready():
            answer = _STDIN
        if chosen := device_code_among(waiting, answer):
            return FinishCode(self.finishing, wait).run(chosen)
        if answer is None and not wait:
            raise _no_code() if waiting else pending.reason()
        if answer not in (None, _STDIN):
            return self._by_argument(str(answer))
        if not waiting and (pending.is_blank or can_be_asked() or not has_input()):
            raise pending.reason()
        if is_silent():
            self.finishing.listeners.console.say("Reading the address from standard input…")
        patient = answer == _STDIN or can_be_asked()
        longest = max((sign_in.left for sign_in in waiting), default=0.0)
        with quiet_input():
            return self._by_input(max(self.patience, longest if patient else 0.0))

    def knows(self, text: str) -> bool:
        """Tell whether a text answers a sign-in that is pending here."""
        judge = PendingJudge(self.finishing.pending)
        with suppress(HeadlessLoginError):
            judge.accept(text)
        return judge.found is not None

    def by_answer(self, text: str) -> SignedIn:
        """Finish by one answer, whichever pending sign-in it belongs to; raises as `run`."""
        judge = PendingJudge(self.finishing.pending)
        return self._complete(judge, lambda: judge.accept(text))

    def _by_argument(self, text: str) -> SignedIn:
        try:
            return self.by_answer(text)
        except RejectedAnswer as error:
            rejected = error
        if rejected.error != "missing_state":
            raise rejected
        raise RejectedAnswer(
            rejected.error,
            rejected.message,
            f"If a shell cut the address at an &, put it into a file: {self._command} < FILE "
            "The sign-in stays pending.",
        )

    @property
    def _command(self) -> str:
        finishing = self.finishing
        return own_command(finishing.ready.home, finishing.environ, "login", "finish", _STDIN)

    def _without_address(self) -> WrongUsage:
        return WrongUsage(
            "There is no address: none came on standard input.",
            f"Use: echo 'ADDRESS' | {self._command} (in a container: docker exec -i)",
        )

    def _by_input(self, seconds: float) -> SignedIn:
        """Finish by what a person pastes, asked again if need be, or by what a pipe holds."""
        judge = PendingJudge(self.finishing.pending)
        deadline = self.clock() + seconds
        asker = Asker(
            self.finishing.listeners.console, judge, lambda: max(0.0, deadline - self.clock())
        )

        def reject(rejected: RejectedAnswer) -> None:
            if not asker.can_ask_again:
                raise rejected
            self.finishing.listeners.tell_rejected(rejected)

        def ask() -> Grant:
            ways = {"paste": win_by_paste(judge, asker.ask, reject)}
            with asyncio.Runner() as runner:
                return runner.run(first_grant(ways, seconds))[1]

        reason: BaseException
        try:
            return self._complete(judge, ask)
        except (NoWayLeft, TimedOut):
            reason = self._without_address()
        except Interrupted:
            reason = KeyboardInterrupt()
        raise reason

    def _complete(self, judge: PendingJudge, win: Callable[[], Grant]) -> SignedIn:
        """Exchange the grant that is won; a refusal by the issuer uses its sign-in up, too."""
        try:
            grant = win()
        except SignInRefused as error:
            refused = error
        else:
            with self.finishing.pending.claim(_found(judge).identifier) as claim:
                claim.check()
                return self.finishing.exchange(claim, grant)
        if isinstance(refused, RejectedAnswer):
            raise self._still_pending(refused)
        with self.finishing.pending.claim(_found(judge).identifier) as claim:
            claim.use_up()
        raise refused

    def _still_pending(self, rejected: RejectedAnswer) -> RejectedAnswer:
        """Say of a final rejection that it has used nothing up."""
        if rejected.error == "no_pending_login" or not self.finishing.pending.waiting():
            return rejected
        hint = f"{rejected.hint} The sign-in stays pending."
        return RejectedAnswer(rejected.error, rejected.message, hint)


def _no_code() -> WrongUsage:
    return WrongUsage(
        "The newest sign-in awaits an address, not the approval of a code.",
        "Name the code: headless-login login finish CODE --no-wait. Or leave --no-wait out.",
    )


def _found(judge: PendingJudge) -> PendingSignIn:
    assert judge.found is not None  # noqa: S101
    return judge.found
