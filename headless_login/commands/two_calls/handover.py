"""From `login` to `login finish`: what one process cannot finish, another one can."""

from __future__ import annotations

from headless_login.codex.pending.record import PendingSignIn
from headless_login.commands.command_line import own_command
from headless_login.commands.showing import WithoutInput
from headless_login.commands.two_calls.finish import Finish
from headless_login.commands.two_calls.finishing import Finishing
from headless_login.errors import LocalTrouble, RejectedAnswer
from headless_login.oauth.request import AuthorizationRequest
from headless_login.signin import SignedIn


def keep_for_later(
    finishing: Finishing, request: AuthorizationRequest, left: float
) -> WithoutInput:
    """Keep a request that was shown and that nobody can answer here; returns what to raise."""
    try:
        finishing.pending.add(PendingSignIn(request, request.provider, left))
    except LocalTrouble:
        return WithoutInput()
    home, environ = finishing.ready.home, finishing.environ
    return WithoutInput(own_command(home, environ, "login", "finish", "-"))


def finish_another(finishing: Finishing, text: str, rejected: RejectedAnswer) -> SignedIn:
    """Finish the sign-in that `login start` began, if that is what was answered.

    Raises:
        RejectedAnswer: `rejected`; it is nobody's answer.
        HeadlessLoginError: as `Finish.by_answer`.
    """
    finish = Finish(finishing)
    if rejected.error != "state_mismatch" or not finish.knows(text):
        raise rejected
    finishing.listeners.console.say(
        "That answers the sign-in that `login start` began; finishing that one."
    )
    return finish.by_answer(text)
