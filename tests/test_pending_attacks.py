"""Attacks on the two calls: forged and late answers, many at once, and a logout in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.pending_answers import PendingAnswers
from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import DeviceCode
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve_device
from tests.support.program import Outcome, Piped, run
from tests.support.two_calls import (
    FINISH,
    START,
    answered,
    events_in,
    exchanges,
    finish,
    records,
)


@pytest.mark.parametrize("kind", ["code", "error"])
def test_a_state_by_an_escaped_name(
    kind: str, environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """`st%61te` is `state` to the judgement, so the finding has to know it as well."""
    answer = answered(environ)
    state = answer.split("state=")[1].split("&")[0]
    text = answer.replace("state=", "st%61te=")
    if kind == "error":
        text = f"{answer.partition('?')[0]}?error=access_denied&st%61te={state}"
    outcome = finish(environ, text, "--json")
    (event,) = events_in(outcome.out)
    assert event.get("error") != "internal_error"
    assert outcome.exit_code in (0, 3)
    assert exchanges(issuer) == (1 if outcome.exit_code == 0 else 0)
    is_over = event.get("error") in (None, "access_denied")
    assert bool(records(codex_home)) is not is_over


def _known(request: AuthorizationRequest, name: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        request.provider, request.redirect_uri, state=name * 22, verifier=name * 86
    )


KNOWN = [
    _known(AuthorizationRequest(CODEX), "A"),
    _known(AuthorizationRequest(CODEX, redirect_uri_for(1457)), "B"),
    _known(AuthorizationRequest(CODEX), "C"),
]
DEVICE_CODE = DeviceCode("https://auth.openai.com/codex/device", "ABCD-EFGH", 5.0, 900.0, "D" * 22)


@pytest.fixture(scope="module")
def pending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PendingAttempts]:
    """Three answers and a one-time code are awaited."""
    home = CodexHome(str(tmp_path_factory.mktemp("codex")))
    everything: list[AuthorizationRequest | DeviceCode] = [*KNOWN]
    for awaited in [*everything, DEVICE_CODE]:
        PendingAttempts.keep(home, Attempt(CODEX, awaited, time.time() + 900))
    with PendingAttempts.opened(home) as found:
        yield found


def _escaped(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


NAMES = ["code", "state", "error", "iss", "st%61te", "%73tate", "c%6fde", "+state", "scope"]
STATES = [request.state for request in KNOWN] + [DEVICE_CODE.device_code, "x" * 22]
VALUES = [*STATES, _escaped(STATES[0]), STATES[0][:-1], f"{STATES[0]}%00", "ac_" + "c" * 60]
VALUES += ["", "access_denied", CODEX.issuer, "%ff"]
BEFORE = [
    "http://127.0.0.1:1455/auth/callback?",
    "http://localhost:1457/auth/callback?",
    "/auth/callback?",
    "https://auth.openai.com/error?",
    "curl 'http://127.0.0.1:1455/auth/callback?",
    "?",
    "",
]


@st.composite
def answers(draw: st.DrawFn) -> str:
    """Return something that looks like an answer, and more often than not is forged."""
    pairs = st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES))
    separators = st.sampled_from(["&", "&", "&", "&amp;", ";", "?", "#", "\n&", "\\&", "&&"])
    text = draw(st.sampled_from(BEFORE))
    for number, pair in enumerate(draw(st.lists(pairs, max_size=5))):
        text += (draw(separators) if number else "") + pair
    return text + draw(st.sampled_from(["", "'", "#_=_", "\n", f"#{STATES[0]}"]))


@given(answers() | st.text(max_size=80) | st.builds("{}#{}".format, *[st.sampled_from(VALUES)] * 2))
@example(f"?code=ac_{'c' * 60}&st%61te={STATES[0]}")
@example(f"?error=access_denied&st%61te={STATES[0]}")
@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_text_is_taken_or_refused_for_whom_it_names(
    pending: PendingAttempts, text: str
) -> None:
    """A grant or a refusal belongs to the sign-in whose state stands in the text; else rejected."""
    judge = PendingAnswers(pending)
    try:
        grant = judge.accept(text)
    except RejectedAnswer:
        return
    except SignInRefused:
        grant = None
    assert judge.found is not None
    awaited = judge.found.awaits
    assert isinstance(awaited, AuthorizationRequest)
    assert awaited.state in text or _escaped(awaited.state) in text
    assert grant is None or grant.verifier == awaited.verifier


def _words(outcome: Outcome) -> tuple[int, str]:
    *_, event = events_in(outcome.out)
    return outcome.exit_code, event.get("error", event["event"])


LOST = (3, "no_pending_login")


def test_ten_at_once_with_the_same_answer(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """One exchange, one sign-in, and nine that say why not, in the contract's word."""
    answer = answered(environ)
    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(lambda _: finish(environ, answer, "--json"), range(10)))
    assert sorted(map(_words, outcomes)) == [(0, "signed_in"), *[LOST] * 9]
    assert exchanges(issuer) == 1


def _begun(environ: dict[str, str]) -> tuple[str, str]:
    """Begin a sign-in by device code and return page and code."""
    (event,) = events_in(run(*START, "--device-auth", "--json", environ=environ).out)
    return event["verification_uri"], event["user_code"]


def test_ten_at_once_for_the_same_code(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """A one-time code that is approved is fetched once and exchanged once."""
    approve_device(*_begun(environ))
    words = (*FINISH, "--no-wait", "--json")
    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(lambda _: run(*words, environ=environ), range(10)))
    assert sorted(map(_words, outcomes)) == [(0, "signed_in"), *[LOST] * 9]
    assert exchanges(issuer) == 1


@pytest.fixture
def waiting_for_code(environ: dict[str, str]) -> Iterator[tuple[Piped, tuple[str, str]]]:
    """A `finish` that waits for a one-time code, with its page and code."""
    code = _begun(environ)
    with Piped(*FINISH, "--json", environ=environ) as piped:
        piped.read_until("Waiting for the code")
        yield piped, code


def test_whoever_has_signed_out_is_not_signed_in_by_a_wait_in_the_background(
    waiting_for_code: tuple[Piped, tuple[str, str]], environ: dict[str, str], codex_home: Path
) -> None:
    """`logout` says that what was begun is forgotten, and that holds for a running `finish`."""
    piped, code = waiting_for_code
    assert "forgotten" in run("logout", environ=environ).err
    approve_device(*code)
    assert _words(piped.finish()) == LOST
    assert not (codex_home / "auth.json").exists()
