"""Which pending attempt an answer belongs to: found by its state, and by nothing else."""

from __future__ import annotations

from headless_login.codex.pending.record import identifier_of
from headless_login.codex.pending.store import PendingAttempts, refusal
from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.decodings import Pasted
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import DeviceCode, Grant

MOST = 32  # of the pending attempts, where an answer does not say which one is meant
_NEWEST = 8


class PendingAnswers:
    """Judges answers to all the pending attempts of a Codex home.

    `found` is the attempt that the last answer belonged to, None if it belonged to none.
    """

    def __init__(self, pending: PendingAttempts) -> None:
        """`pending` is opened for as long as answers are judged."""
        self._pending = pending
        self.found: Attempt | None = None

    def accept(self, text: str) -> Grant:
        """Judge an answer by the request that it belongs to.

        Raises:
            RejectedAnswer: it is no answer, or `no_pending_login`; another one may be pasted.
            SignInRefused: it is one, and a refusal.
        """
        self.found = None
        pasted = Pasted(text)
        names = {identifier_of(state) for state in pasted.states}
        # Found by name, however many are pending.
        if meant := [found for name in names if (found := self._pending.find(name))]:
            self.found, answer = _answered(meant, pasted)
            if isinstance(answer, SignInRefused):
                raise answer
            return answer
        for name in names:
            if self._pending.knows(name):
                raise self._pending.reason(name)
        waiting = self._pending.waiting(MOST)
        if not waiting and (not names or self._pending.is_blank):
            raise self._pending.reason()
        raise _wrong_form(pasted, waiting) or refusal("unknown")


def _answered(meant: list[Attempt], pasted: Pasted) -> tuple[Attempt, Grant | SignInRefused]:
    """Return the one attempt that a text answers, and what it says to it; the newest if none."""
    judged: list[tuple[Attempt, Grant | SignInRefused]] = []
    for attempt in meant:
        try:
            judged.append((attempt, attempt.accept(pasted)))
        except SignInRefused as refused:
            judged.append((attempt, refused.with_traceback(None)))
    answered = [each for each in judged if not isinstance(each[1], RejectedAnswer)]
    if len(answered) > 1:
        raise RejectedAnswer(
            "ambiguous_response",
            "That holds answers to several sign-ins that are pending.",
            "Paste one of them alone.",
        )
    return (answered or judged)[0]


def _wrong_form(pasted: Pasted, waiting: list[Attempt]) -> RejectedAnswer | None:
    """Return what is wrong with a text whose state is no attempt's, if anything else is."""
    reasons = []
    requests = [attempt.request for attempt in waiting] or [AuthorizationRequest(CODEX)]
    newest = requests[:_NEWEST]  # of these, a state that is cut off is told
    for request in [*newest, *{each.redirect_uri: each for each in requests}.values()]:
        try:
            request.accept(pasted)
        except RejectedAnswer as rejected:
            reasons.append(rejected.with_traceback(None))
        except SignInRefused:
            return None
    # That it leads to another port says nothing where one of them has this port.
    vague = {"not_a_redirect", "state_mismatch"}
    told = [reason for reason in reasons if reason.error not in vague]
    if any(reason.error == "state_mismatch" for reason in reasons) and not told:
        return None
    return (told or reasons)[0]


def device_code_among(waiting: list[Attempt], answer: str | None) -> Attempt | None:
    """Return the attempt by device code that is meant: the one that is named, or the newest.

    None if there is none, or something else than a one-time code is named.
    """
    if answer is None:
        return next((each for each in waiting if isinstance(each.awaits, DeviceCode)), None)
    code = answer.strip().upper()
    return next(
        (each for each in waiting if each.user_code and each.user_code.upper() == code), None
    )
