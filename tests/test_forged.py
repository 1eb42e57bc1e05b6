"""Forged tokens: whatever keys are published beside them, none is believed and none stored."""

from __future__ import annotations

import pytest
from joserfc.jwk import KeySet

from headless_login.errors import HeadlessLoginError, SignInRefused
from headless_login.oauth.id_token import usable_keys, verify_id_token
from headless_login.oauth.identity import AUTH, PROFILE
from headless_login.oauth.values import Tokens
from headless_login.practice.wire import Answer
from tests.support.canned import NOWHERE
from tests.support.forged import (
    ACCESS,
    CLAIMS,
    FORGED,
    GOOD,
    HEADER,
    NO_LIST,
    NOW,
    OTHER_KEY,
    PUBLIC,
    TOKENS,
    UNUSABLE,
    WRONG,
    as_json,
    sign,
    sign_in,
)

BESIDE = [*UNUSABLE, "nothing"]


def _set(beside: str) -> list[object]:
    return [UNUSABLE[beside], PUBLIC] if beside in UNUSABLE else [PUBLIC]


def _refuse(token: str, keys: KeySet | None) -> None:
    with pytest.raises(SignInRefused) as refused:
        verify_id_token(Tokens(token, ACCESS, "r"), NOWHERE, keys, now=NOW)
    assert refused.value.error == "id_token_invalid"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("beside", BESIDE)
def test_no_forged_token_is_believed(beside: str) -> None:
    """With each key set, whatever stands in it beside the good key or instead of it."""
    whole, rest = usable_keys(_set(beside)), usable_keys(_set(beside)[:-1])
    for token in FORGED.values():
        _refuse(token, whole)
        _refuse(token, rest)
    assert verify_id_token(Tokens(GOOD, ACCESS, "r"), NOWHERE, whole, now=NOW).email
    _refuse(GOOD, rest)


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("keys", [usable_keys([PUBLIC]), None], ids=["keys", "no keys"])
def test_no_wrong_token_is_believed(case: str, keys: KeySet | None) -> None:
    """The issuer's own signature makes no wrong or ambiguous claim right."""
    _refuse(WRONG[case], keys)


SELF_EVIDENT = [name for name in FORGED if name.startswith(("alg", "HS256", "no "))]


@pytest.mark.parametrize("case", SELF_EVIDENT)
def test_without_keys_some_are_refused_all_the_same(case: str) -> None:
    """What says of itself that nobody signed it needs no keys to be refused."""
    _refuse(FORGED[case], None)


ODD_HEADERS: list[dict[str, object]] = [
    {"more": {"of": "it"}},
    {"x5c": ["MIIB" * 500]},
    {"typ": "at+jwt", "jku": "https://elsewhere.example", "jwk": OTHER_KEY},
]


@pytest.mark.parametrize("more", ODD_HEADERS, ids=["unknown", "long", "addresses"])
def test_what_a_header_says_besides_is_ignored(more: dict[str, object]) -> None:
    """None of it makes a good token worse (RFC 7515 §4)."""
    token = Tokens(sign(header=HEADER | more), ACCESS, "r")
    assert verify_id_token(token, NOWHERE, usable_keys([PUBLIC]), now=NOW).email


SETS = {beside: as_json({"keys": _set(beside)}) for beside in BESIDE}
SHAPES = {case: as_json(value) for case, value in NO_LIST.items()}


@pytest.mark.parametrize("case", SETS | SHAPES)
def test_nothing_forged_is_stored(case: str) -> None:
    """A whole sign-in with each key set: a forged token never, a good one beside its key."""
    keys = Answer(200, (SETS | SHAPES)[case])
    for token in [*FORGED.values(), *[GOOD] * (case in SHAPES)]:
        with pytest.raises(HeadlessLoginError) as refused:
            sign_in(Answer(200, as_json(TOKENS | {"id_token": token})), keys)
        assert refused.value.error == ("id_token_invalid" if token else "token_response_invalid")
        assert "MARKED" not in refused.value.message + refused.value.hint
    if case in SETS:
        kept, said = sign_in(Answer(200, as_json(TOKENS)), keys)
        assert len(kept.stored) == 1
        assert not said


# What the issuer has signed, and Codex 0.169 reads another way than we do, or not at all.
UNREADABLE: dict[str, dict[str, object]] = {
    "a number as user": {AUTH: {"user_id": 7}},
    "a number as account": {AUTH: {"chatgpt_account_id": 7}},
    "a list as plan": {AUTH: {"chatgpt_plan_type": ["plus"]}},
    "a text for a truth": {AUTH: {"chatgpt_account_is_fedramp": "no"}},
    "nothing for a truth": {AUTH: {"chatgpt_account_is_fedramp": None}},
    "a list of accounts": {AUTH: [{"chatgpt_account_id": "acc-1"}]},
    "a text for claims": {AUTH: "acc-1"},
    "a number as address": {"email": 7},
    "a number in the profile": {PROFILE: {"email": 7}},
}
KEYS = Answer(200, SETS["nothing"])


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_codex_could_not_read_is_not_stored(case: str) -> None:
    """By it the whole auth.json would be no sign-in for Codex: refused before the write."""
    token = sign(CLAIMS | UNREADABLE[case])
    with pytest.raises(SignInRefused, match="that Codex could not read") as refused:
        sign_in(Answer(200, as_json(TOKENS | {"id_token": token})), KEYS)
    assert (refused.value.error, refused.value.exit_code) == ("id_token_invalid", 3)
    assert refused.value.__cause__ is None
    assert not {token, ACCESS} & {*refused.value.message.split()}


def test_what_codex_does_not_look_at_may_be_odd() -> None:
    """A claim of another type where Codex reads none costs nobody the sign-in."""
    odd = {AUTH: {"user_id": None, "organizations": 7}, PROFILE: None, "name": 7}
    kept, _ = sign_in(Answer(200, as_json(TOKENS | {"id_token": sign(CLAIMS | odd)})), KEYS)
    assert len(kept.stored) == 1
