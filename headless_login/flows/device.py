"""Winning a grant by a one-time code: the person approves elsewhere, we ask whether they have."""

from __future__ import annotations

import time
from collections.abc import Callable

from headless_login.errors import IssuerTrouble
from headless_login.oauth.device import expired
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens

_SLOWER_BY = 5.0  # seconds; RFC 8628 §3.5
_LONGEST_PAUSE = 60.0  # seconds
_PASSES = ("issuer_unreachable", "tls_error", "challenge_page")


def win_by_device_code(
    code: DeviceCode,
    poll: Callable[[float], Grant | Tokens | AuthorizationPending],
    *,
    first_pause: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
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
            sleep(max(0.0, left))
            raise expired()
        sleep(pause)
        try:
            answer = poll(deadline - clock())
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
