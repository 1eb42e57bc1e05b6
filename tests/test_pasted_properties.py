"""Pasted answers by the thousand: wrapped in anything, changed anywhere, or plain nonsense."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from tests.test_pasted import CODE, QUERY, REJECTED, STATE, TAKEN, URL

REQUEST = AuthorizationRequest(CODEX, state=STATE)
Wrap = Callable[[str], str]


def _every(count: int, by: str) -> Wrap:
    return lambda text: by.join(text[i : i + count] for i in range(0, len(text), count))


# What stands around or in a paste by itself, and so in any order around each other.
WRAPPINGS: list[Wrap] = [
    lambda text: f"  {text}\n",
    lambda text: f'"{text}"',
    lambda text: f"'{text}'",
    lambda text: f"<{text}>",
    lambda text: f"`{text}`",
    lambda text: f"**{text}**",
    lambda text: f"\ufeff{text}",
    lambda text: text.replace("&", "&amp;"),
    _every(79, "\n"),
    _every(40, "\r\n  "),
    _every(33, "\u200b"),
    _every(64, "\u00a0"),
]
# What a terminal adds last, and never breaks over lines.
TERMINALS: list[Wrap] = [
    str,
    lambda text: f"\x1b[200~{text}\x1b[201~",
    lambda text: f"\x1b[4m{text}\x1b[0m",
    lambda text: f"[200~{text}[201~",
]
UNESCAPED = [text for text in TAKEN.values() if "%" not in text]
BARE = st.sampled_from([URL, URL.removeprefix("http://"), QUERY, f"?{QUERY}", f"{CODE}#{STATE}"])


@given(BARE, st.lists(st.sampled_from(WRAPPINGS), max_size=4), st.sampled_from(TERMINALS))
@settings(max_examples=400)
def test_any_wrapping_leaves_the_very_code(
    bare: str, wrappings: list[Wrap], terminal: Wrap
) -> None:
    """Whatever is put around it, in whatever order, the code that comes out is the issuer's."""
    text = bare
    for wrap in [*wrappings, terminal]:
        text = wrap(text)
    assert REQUEST.accept(text).code == CODE


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=20, max_size=200))
def test_any_code_survives_its_journey(code: str) -> None:
    """Every code that RFC 6749 allows, encoded as the RFC says, is sent back unchanged."""
    from urllib.parse import urlencode

    answer = f"http://127.0.0.1:1455/auth/callback?{urlencode({'code': code, 'state': STATE})}"
    assert REQUEST.accept(answer).code == code
    assert REQUEST.accept_query(answer.partition("?")[2]).code == code


@given(st.integers(0, len(STATE) - 1), st.characters(codec="ascii", categories=("L", "N")))
def test_one_changed_letter_of_the_state_is_enough(position: int, letter: str) -> None:
    """Nothing but the very state is this sign-in's."""
    state = STATE[:position] + letter + STATE[position + 1 :]
    if state == STATE:
        assert REQUEST.accept(URL.replace(STATE, state)).code == CODE
        return
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(URL.replace(STATE, state))
    assert caught.value.error == "state_mismatch"


@given(st.text(max_size=300))
def test_nonsense_is_refused_in_words(text: str) -> None:
    """No text without the state is taken, and nothing but a refusal ever comes of it."""
    _assert_refused(text)


@given(st.lists(st.sampled_from([*"?&=#%:/.\\<>[]()'\" \n@", "code", "state", "http"])))
def test_syntax_without_sense_is_refused_in_words(pieces: list[str]) -> None:
    """Nor of the marks that the grammar is made of, in any order."""
    _assert_refused("".join(pieces))


@given(st.sampled_from(UNESCAPED), st.integers(0, 400), st.integers(1, 30))
def test_a_torn_answer_is_refused_or_what_is_left_of_it(text: str, start: int, count: int) -> None:
    """Letters lost anywhere: nothing is made up in their place (the issuer judges the rest)."""
    code = ""
    with suppress(SignInRefused):
        code = REQUEST.accept(text[:start] + text[start + count :]).code
    assert set(code) <= set(CODE) | set("scope=openid profile email&")


@given(st.sampled_from([text for text, *_ in REJECTED.values()]), st.text(max_size=20))
def test_no_refusal_repeats_what_was_pasted(text: str, more: str) -> None:
    """Neither in its words nor in what hangs on it: a paste may hold a code that still works."""
    secret = "SECRETSECRETSECRETSECRET"
    for pasted in (text + more, f"{text}{secret}", f"{URL[:-3]}{secret}", f"code={secret}"):
        refused: SignInRefused | None = None
        try:
            REQUEST.accept(pasted)
        except SignInRefused as error:
            refused = error
        if refused is None:
            continue
        assert (refused.__cause__, refused.__context__) == (None, None)
        told = "".join(traceback.format_exception(refused)) + refused.hint
        assert not [part for part in (secret, CODE, STATE) if part in told]


def _assert_refused(text: str) -> None:
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(text)
    assert caught.value.message
    assert caught.value.hint
