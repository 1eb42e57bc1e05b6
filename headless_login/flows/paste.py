"""Winning a grant by a pasted answer: ask, judge, ask again; no port is involved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headless_login.errors import HeadlessLoginError, RejectedAnswer
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Grant


async def win_by_paste(
    request: AuthorizationRequest,
    ask: Callable[[], Awaitable[str | None]],
    reject: Callable[[RejectedAnswer], None],
) -> Grant | None:
    """Return the grant of the first acceptable answer, or None if there is nobody to be asked.

    `reject` may raise to end the asking.

    Raises:
        SignInRefused: the answer is this request's, and a refusal.
    """
    while (text := await ask()) is not None:
        try:
            return request.accept(text)
        except RejectedAnswer as rejected:
            reason = rejected
        reject(reason)
    return None


def settles(request: AuthorizationRequest, text: str) -> bool:
    """Tell whether a text decides this request's sign-in, so that no more need be waited for."""
    try:
        request.accept(text)
    except RejectedAnswer:
        return False
    except HeadlessLoginError:
        return True
    return True
