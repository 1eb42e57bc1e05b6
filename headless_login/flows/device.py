"""Winning a grant by a one-time code: the person approves elsewhere, we ask whether they have."""

from __future__ import annotations

import time
from collections.abc import Callable

from headless_login.errors import IssuerTrouble
from headless_login.oauth.device import Pending, expired
from headless_login.oauth.values import DeviceCode, Grant, Tokens

_SLOWER_BY = 5.0  # seconds; RFC 8628 §3.5
_LONGEST_PAUSE = 60.0  # seconds
_PASSES = ("issuer_unreachable", "tls_error", "challenge_page")


def win_by_device_code(
    code: DeviceCode,
    poll: Callable[[float], Grant | Tokens | Pending],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    on_trouble: Callable[[IssuerTrouble], None] = lambda _: None,
) -> Grant | Tokens:
    """Return the grant, or the tokens themselves (RFC 8628 §3.5), once the person has approved.

    `poll` gets the seconds that are left.

    What may pass (a busy issuer, a broken connection) is ridden out with ever longer pauses, as
    RFC 8628 §3.5 asks, until the code expires; `on_trouble` hears of it.

    Raises:
        SignInRefused: `access_denied`.
        TimedOut: `device_code_expired`.
        IssuerTrouble: an answer that no second question could mend.
    """
    deadline = clock() + code.expires_in
    interval, backoff = code.interval, 0.0
    while True:
        pause = max(interval, backoff)
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
            on_trouble(trouble)
            continue
        if not isinstance(answer, Pending):
            return answer
        backoff = 0.0
        if answer.slow_down:
            interval = min(interval + _SLOWER_BY, _LONGEST_PAUSE)
