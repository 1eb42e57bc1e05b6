"""Whose answer is it: the right sign-in among many, in every form that people paste."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import identifier_of
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.pending_answers import PendingAnswers
from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.answers import Pasted
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from tests.support.pastes import CODE, COMMANDS, QUERY, REQUEST, STATE, SURROUNDINGS, URL
from tests.test_pasted import REJECTED, TAKEN

FORMS = {
    **TAKEN,
    **{name: wrap(URL) for name, wrap in (COMMANDS | SURROUNDINGS).items()},
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PendingAnswers]:
    """Judges answers to one sign-in that is known among others, with other ports, too."""
    home = CodexHome(str(tmp_path_factory.mktemp("codex", numbered=True)))
    requests = [
        AuthorizationRequest(CODEX),
        REQUEST,
        AuthorizationRequest(CODEX, redirect_uri_for(1457)),
    ]
    for request in requests:
        PendingAttempts.keep(home, Attempt(CODEX, request, time.time() + 900))
    with PendingAttempts.opened(home) as pending:
        yield PendingAnswers(pending)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_finds_its_sign_in(form: str, judge: PendingAnswers) -> None:
    """What one sign-in would take is taken for that one among many."""
    with suppress(RejectedAnswer):
        grant = REQUEST.accept(FORMS[form])
        assert judge.accept(FORMS[form]) == grant
        assert judge.found
        assert judge.found.awaits == REQUEST


@pytest.mark.parametrize("form", REJECTED)
def test_every_rejection_is_the_same(form: str, judge: PendingAnswers) -> None:
    """What one sign-in would reject has the same reason here, or there is none to be finished."""
    text, *_ = REJECTED[form]
    with pytest.raises(SignInRefused) as alone:
        REQUEST.accept(text)
    with pytest.raises(SignInRefused) as among:
        judge.accept(text)
    unknown = "no_pending_login" if alone.value.error == "state_mismatch" else alone.value.error
    assert among.value.error == unknown


Change = Callable[[str], str]


@given(
    st.text(max_size=300)
    | st.builds(
        lambda text, at, put, cut: text[:at] + put + text[at + cut :],
        st.sampled_from([URL, QUERY, f"{CODE}#{STATE}", REQUEST.url]),
        st.integers(0, 300),
        st.text(max_size=8),
        st.integers(0, 8),
    )
)
@settings(max_examples=300, deadline=None)
def test_nothing_else_is_raised_and_nobody_elses_is_taken(text: str) -> None:
    """Any text: an answer with the known state, or one of the two documented errors."""
    state = Pasted(text).state
    assert identifier_of(state).isalnum()
    other = REQUEST._replace(state="x" * 22)
    with suppress(SignInRefused):
        other.accept(text)
        pytest.fail("an answer to another sign-in was taken")


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_the_identifier_is_never_a_path(state: str) -> None:
    """Whatever a state says, it names a file of the pending folder."""
    assert len(identifier_of(state)) == 32
    assert set(identifier_of(state)) <= set("0123456789abcdef")


def test_an_endless_text_is_no_answer(judge: PendingAnswers, tmp_path: Path) -> None:
    """More than 64 KiB is not even looked at."""
    del tmp_path
    with pytest.raises(RejectedAnswer, match="longer than any answer"):
        judge.accept(f"{URL}{' ' * 70000}")
