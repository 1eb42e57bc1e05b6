"""Winning a grant by a pasted answer: ask, judge, ask again; no port is involved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from headless_login.errors import HeadlessLoginError, RejectedAnswer
from headless_login.oauth.values import Grant


class Judge(Protocol):
    """Whoever tells answers from everything else: an AuthorizationRequest, or several."""

    def accept(self, text: str) -> Grant:
        """Judge a pasted answer; raises as `AuthorizationRequest.accept`."""


async def win_by_paste(
    judge: Judge,
    ask: Callable[[], Awaitable[str | None]],
    reject: Callable[[RejectedAnswer], None],
) -> Grant | None:
    """Return the grant of the first acceptable answer, or None if there is nobody to be asked.

    `reject` may raise to end the asking.

    Raises:
        SignInRefused: the answer is a sign-in's own, and a refusal.
    """
    while (text := await ask()) is not None:
        try:
            return judge.accept(text)
        except RejectedAnswer as rejected:
            reason = rejected
        reject(reason)
    return None


def settles(judge: Judge, text: str) -> bool:
    """Tell whether a text decides the sign-in, so that no more need be waited for."""
    try:
        judge.accept(text)
    except RejectedAnswer:
        return False
    except HeadlessLoginError:
        return True
    return True
