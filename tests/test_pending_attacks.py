"""Attacks on the two calls: forged and late answers, many at once, and a logout in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from tests.support.program import Outcome
from tests.support.two_calls import (
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
