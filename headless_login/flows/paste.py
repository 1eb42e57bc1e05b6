"""Winning a grant by a pasted answer: ask, judge, ask again; no port is involved."""

from __future__ import annotations

from collections.abc import Callable

from headless_login.errors import HeadlessLoginError, RejectedAnswer
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Grant


def win_by_paste(
    request: AuthorizationRequest,
    ask: Callable[[], str],
    reject: Callable[[RejectedAnswer], None],
) -> Grant:
    """Return the grant of the first acceptable answer; `reject` may raise to end the asking.

    Raises:
        SignInRefused: the answer is this request's, and a refusal.
    """
    while True:
        try:
            return request.accept(ask())
        except RejectedAnswer as rejected:
            reason = rejected
        reject(reason)


def settles(request: AuthorizationRequest, text: str) -> bool:
    """Tell whether a text decides this request's sign-in, so that no more need be waited for."""
    try:
        request.accept(text)
    except RejectedAnswer:
        return False
    except HeadlessLoginError:
        return True
    return True
