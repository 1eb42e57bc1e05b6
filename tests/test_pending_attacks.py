"""Attacks on the two calls: forged and late answers, many at once, and a logout in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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
