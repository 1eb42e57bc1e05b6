"""Which sign-in an answer belongs to: the right one among many, in every form that people paste."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import identifier_of
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.pending_answers import PendingAnswers
from headless_login.errors import SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from tests.support.pastes import FORMS, REJECTED, REQUEST, URL, WRAPS

PASTES = FORMS | {name: wrap(URL) for name, wrap in WRAPS.items()}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PendingAnswers]:
    """Judges answers to one sign-in that is known among others, with other ports, too."""
    home = CodexHome(str(tmp_path_factory.mktemp("codex", numbered=True)))
    others = AuthorizationRequest(CODEX), AuthorizationRequest(CODEX, redirect_uri_for(1457))
    for request in (others[0], REQUEST, others[1]):
        PendingAttempts.keep(home, Attempt(CODEX, request, time.time() + 900))
    with PendingAttempts.opened(home) as pending:
        yield PendingAnswers(pending)


@pytest.mark.parametrize("form", PASTES)
def test_every_form_finds_its_sign_in(form: str, judge: PendingAnswers) -> None:
    """What one sign-in would take is taken for that one among many."""
    assert judge.accept(PASTES[form]) == REQUEST.accept(PASTES[form])
    assert judge.found
    assert judge.found.awaits == REQUEST


@pytest.mark.parametrize("case", REJECTED)
def test_every_rejection_is_the_same(case: str, judge: PendingAnswers) -> None:
    """What one sign-in would reject has the same reason here, or there is none to be finished."""
    text, error, _ = REJECTED[case]
    with pytest.raises(SignInRefused) as alone:
        REQUEST.accept(text)
    with pytest.raises(SignInRefused) as among:
        judge.accept(text)
    if error == "state_mismatch":
        assert among.value.error == "no_pending_login"
    else:
        assert (among.value.error, among.value.message) == (error, alone.value.message)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_the_identifier_is_never_a_path(state: str) -> None:
    """Whatever a state says, it names a file of the pending folder."""
    assert len(identifier_of(state)) == 32
    assert set(identifier_of(state)) <= set("0123456789abcdef")
