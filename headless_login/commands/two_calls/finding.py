"""Finding the pending sign-in that an answer belongs to: by its state, and by nothing else."""

from __future__ import annotations

from headless_login.codex.pending import refusals
from headless_login.codex.pending.record import PendingSignIn, identifier_of
from headless_login.codex.pending.store import PendingSignIns
from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.answers import state_in
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import DeviceCode, Grant


class PendingJudge:
    """Judges answers to all the pending sign-ins of a Codex home; `found` is the last one's."""

    def __init__(self, pending: PendingSignIns) -> None:
        """Take the pending sign-ins."""
        self._pending = pending
        self.found: PendingSignIn | None = None

    def accept(self, text: str) -> Grant:
        """Judge an answer by the request that it belongs to.

        Raises:
            RejectedAnswer: it is no answer, or `no_pending_login`; another one may be pasted.
            SignInRefused: it is one, and a refusal.
        """
        self.found = None
        waiting = self._pending.waiting()
        state = state_in(text)
        identifier = identifier_of(state) if state else ""
        for sign_in in waiting:
            if sign_in.identifier == identifier:
                self.found = sign_in
                return _request_of(sign_in).accept(text)
        if identifier and self._pending.knows(identifier):
            raise self._pending.reason(identifier)
        if not waiting and (not identifier or self._pending.is_blank):
            raise self._pending.reason()
        raise _wrong_form(text, waiting) or refusals.unknown()


def _request_of(sign_in: PendingSignIn) -> AuthorizationRequest:
    if isinstance(sign_in.awaits, AuthorizationRequest):
        return sign_in.awaits
    return AuthorizationRequest(sign_in.provider)  # with a state that nobody knows


def _wrong_form(text: str, waiting: list[PendingSignIn]) -> RejectedAnswer | None:
    """Return what is wrong with a text whose state is nobody's, if anything else is."""
    reasons = []
    requests = [_request_of(sign_in) for sign_in in waiting] or [AuthorizationRequest(CODEX)]
    for request in {each.redirect_uri: each for each in requests}.values():
        try:
            request.accept(text)
        except RejectedAnswer as rejected:
            reasons.append(rejected.with_traceback(None))
        except SignInRefused:
            return None
    # That it leads to another port says nothing where one of them has this port.
    told = [reason for reason in reasons if reason.error != "not_a_redirect"] or reasons
    return told[0] if told and told[0].error != "state_mismatch" else None


def device_code_among(waiting: list[PendingSignIn], answer: str | None) -> PendingSignIn | None:
    """Return the sign-in by device code that is meant: the one that is named, or the newest of all.

    None if the newest one awaits an answer, or something else than a one-time code is named.
    """
    if answer is None:
        newest = waiting[0] if waiting else None
        return newest if newest and isinstance(newest.awaits, DeviceCode) else None
    return next((sign_in for sign_in in waiting if _is_named(sign_in, answer)), None)


def _is_named(sign_in: PendingSignIn, answer: str) -> bool:
    code = sign_in.awaits
    return isinstance(code, DeviceCode) and code.user_code.upper() == answer.strip().upper()
