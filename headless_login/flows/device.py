"""Winning a grant by a one-time code: the person approves elsewhere, we ask whether they have."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.device import expired
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens

_SLOWER_BY = 5.0  # seconds; RFC 8628 §3.5
_LONGEST_PAUSE = 60.0  # seconds
_PASSES = ("issuer_unreachable", "tls_error", "challenge_page")
_LONGEST_CALL = 30.0  # seconds
# Seconds that one call may hold up everything else where no thread can be had.
_LONGEST_CALL_IN_TURN = 2.0

_Result = TypeVar("_Result")
Poll = Callable[[float], Grant | Tokens | AuthorizationPending]


class DeviceCodeWay:
    """The way by a one-time code, which can be asked for at any time, and again after its end.

    What is wrong with a code ends that code, and nothing else.
    """

    def __init__(
        self,
        ask: Callable[[float], Attempt],
        poll_for: Callable[[DeviceCode], Poll],
        *,
        on_begun: Callable[[Attempt], None],
        on_trouble: Callable[[IssuerTrouble], None],
        on_ended: Callable[[HeadlessLoginError], None],
        attempt: Attempt | None = None,
        first_pause: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`ask` gets a code from the issuer, `poll_for` returns what asks about it.

        Both get the seconds that they may take, and are called in a thread. `attempt` is a code
        that waits already; it expires its `expires_in` seconds from now. `first_pause` as in
        `win_by_device_code`. `on_begun` hears of a new code; `on_ended` why one has ended, and may
        raise that, which ends all ways.
        """
        self._ask, self._poll_for = ask, poll_for
        self._on_begun, self._on_trouble, self._on_ended = on_begun, on_trouble, on_ended
        self._first_pause = first_pause
        self._clock, self._sleep = clock, sleep
        self._wanted = asyncio.Event()
        self._running: asyncio.Task[Grant | Tokens | HeadlessLoginError] | None = None
        self._is_left = False
        self.attempt: Attempt | None = None
        self._deadline = 0.0
        if attempt is not None:
            self._take(attempt)
            self.want()

    @property
    def is_open(self) -> bool:
        """Whether a code is asked for, or waits for its person."""
        return self._wanted.is_set() and not self._is_left

    @property
    def left(self) -> float:
        """The seconds that are left of the present code."""
        return max(0.0, self._deadline - self._clock())

    def want(self) -> None:
        """Have a code asked for, if there is none."""
        self._wanted.set()

    def leave(self) -> None:
        """Have `wait` return if no code is asked for yet: nobody can want one any more."""
        self._is_left = not self._wanted.is_set()
        self._wanted.set()

    async def wait(self) -> Grant | Tokens | None:
        """Return what the approval brings, or None after `leave`.

        May be cancelled, and be called again: what was fetched meanwhile is given once, and kept.
        """
        while True:
            await self._wanted.wait()
            if self._is_left:
                return None
            if self._running is None:
                self._running = asyncio.create_task(self._run())
            outcome = await asyncio.shield(self._running)
            if not isinstance(outcome, HeadlessLoginError):
                return outcome
            self._running = self.attempt = None
            self._wanted.clear()
            self._on_ended(outcome)

    async def _run(self) -> Grant | Tokens | HeadlessLoginError:
        # A refusal is a value here: asyncio prints an exception that is not awaited any more.
        try:
            if self.attempt is None:
                attempt = await beside(self._ask, _LONGEST_CALL)
                self._take(attempt)
                self._on_begun(attempt)
            code = self._code
            poll, first_pause = self._poll_for(code), self._first_pause
            self._first_pause = None
            return await win_by_device_code(
                code,
                lambda left: beside(poll, min(left, _LONGEST_CALL)),
                first_pause=first_pause,
                clock=self._clock,
                sleep=self._sleep,
                on_trouble=self._on_trouble,
            )
        except HeadlessLoginError as error:
            return error.with_traceback(None)

    def _take(self, attempt: Attempt) -> None:
        assert isinstance(attempt.awaits, DeviceCode)  # noqa: S101  # nosec B101
        self.attempt, self._code = attempt, attempt.awaits
        self._deadline = self._clock() + self._code.expires_in


async def win_by_device_code(
    code: DeviceCode,
    poll: Callable[[float], Awaitable[Grant | Tokens | AuthorizationPending]],
    *,
    first_pause: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_trouble: Callable[[IssuerTrouble], None] = lambda _: None,
) -> Grant | Tokens:
    """Return the grant, or the tokens themselves (RFC 8628 §3.5), once the person has approved.

    `poll` gets the seconds that are left; before the first one there is an interval, or
    `first_pause` where some of it has passed already. What may pass (a busy issuer, a broken
    connection) is ridden out with ever longer pauses (§3.5); `on_trouble` hears of it.

    Raises:
        SignInRefused: `access_denied`.
        TimedOut: `device_code_expired`.
        IssuerTrouble: an answer that a second question would not change.
    """
    deadline = clock() + code.expires_in
    interval, backoff = code.interval, 0.0
    pause = interval if first_pause is None else first_pause
    while True:
        left = deadline - clock()
        if pause >= left:
            await sleep(max(0.0, left))
            raise expired()
        await sleep(pause)
        try:
            answer = await poll(deadline - clock())
        except IssuerTrouble as trouble:
            if trouble.error not in _PASSES:
                raise
            backoff = min(max(interval, backoff) * 2, _LONGEST_PAUSE)
            pause = backoff
            on_trouble(trouble)
            continue
        if not isinstance(answer, AuthorizationPending):
            return answer
        backoff = 0.0
        if answer.slow_down:
            interval = slower(interval)
        pause = interval


def slower(interval: float) -> float:
    """Return the interval after a `slow_down`, in seconds (RFC 8628 §3.5)."""
    return min(interval + _SLOWER_BY, _LONGEST_PAUSE)


async def beside(call: Callable[[float], _Result], seconds: float) -> _Result:
    """Make a call that waits for the network, while the event loop goes on; raises what it raises.

    `call` gets the seconds that it may take. It runs in a daemon thread: asyncio's own would hold
    up the end of the process. Where no thread can be had, it is made in turn, and gets little time.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if done.done():
            return  # cancelled
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def work() -> None:
        result: _Result | None = None
        failed: BaseException | None = None
        try:
            result = call(seconds)
        except BaseException as error:  # noqa: BLE001
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failed)

    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError:
        return call(min(seconds, _LONGEST_CALL_IN_TURN))
    return await done
