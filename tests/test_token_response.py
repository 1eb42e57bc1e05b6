"""What a token endpoint answers, judged: tokens, or one sentence without a secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless_login.errors import HeadlessLoginError, IssuerTrouble, SignInRefused
from headless_login.oauth.text import printable
from headless_login.oauth.token_response import read_token_response

GOOD = {"id_token": "a.b.c", "access_token": "d.e.f", "refresh_token": "rt_" + "x" * 40}
NESTED: dict[str, object] = {"message": "m", "type": "t", "code": "c", "param": None}


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


def test_all_three_tokens_are_taken() -> None:
    """Unknown members beside them are ignored, and no token is in the repr."""
    tokens = read_token_response(200, {}, _body(GOOD | {"expires_in": 1, "more": {}}))
    assert tokens == ("a.b.c", "d.e.f", GOOD["refresh_token"])
    assert "rt_x" not in repr(tokens)


@pytest.mark.parametrize("status", [199, 300, 301, 400, 403, 500])
def test_tokens_count_only_with_a_success(status: int) -> None:
    """A refusal that contains tokens is still a refusal."""
    with pytest.raises(HeadlessLoginError):
        read_token_response(status, {}, _body(GOOD))


COUNTRY = NESTED | {"code": "unsupported_country_region_territory"}
# Status, body, the word of the contract, a phrase of the sentence.
TROUBLES = [
    (400, {"error": "invalid_grant"}, "invalid_grant", "(invalid_grant)"),
    (400, {"error": "x", "error_description": "No."}, "invalid_grant", "(x: No)"),
    (401, {"error": NESTED}, "invalid_grant", "(c: m)"),
    (401, {"error": NESTED | {"code": None}}, "invalid_grant", "(t: m)"),
    (400, {"code": "token_exchange_user_error"}, "invalid_grant", "(token_exchange_user_error)"),
    (200, {"error": "invalid_grant"}, "invalid_grant", "(invalid_grant)"),
    (400, {}, "token_response_invalid", "HTTP 400 without a reason"),
    (400, [], "token_response_invalid", "HTTP 400 without a reason"),
    (400, {"error": 5}, "token_response_invalid", "HTTP 400 without a reason"),
    (403, {"a": 1}, "token_response_invalid", "HTTP 403 without a reason"),
    (404, {}, "token_response_invalid", "HTTP 404 without a reason"),
    (418, {"error": "teapot"}, "token_response_invalid", "HTTP 418 without a reason"),
    (302, {}, "token_response_invalid", "it redirects"),
    (200, [1], "token_response_invalid", "it is not JSON"),
    (200, GOOD | {"refresh_token": None}, "token_response_invalid", "it lacks refresh_token"),
    (200, GOOD | {"access_token": ""}, "token_response_invalid", "it lacks access_token"),
    (200, GOOD | {"id_token": 7}, "token_response_invalid", "it lacks id_token"),
    (403, {"error": COUNTRY}, "unsupported_country", "the country"),
    (429, {"error": "slow_down"}, "issuer_unreachable", "HTTP 429"),
    (502, {"error": "invalid_grant"}, "issuer_unreachable", "HTTP 502"),
]


@pytest.mark.parametrize(("status", "body", "error", "phrase"), TROUBLES)
def test_errors_in_every_form(status: int, body: object, error: str, phrase: str) -> None:
    """An error is read nested, flat, by its code alone, or from the status."""
    with pytest.raises(HeadlessLoginError) as raised:
        read_token_response(status, {}, _body(body))
    assert raised.value.error == error
    assert phrase in raised.value.message
    assert isinstance(raised.value, SignInRefused if error == "invalid_grant" else IssuerTrouble)


def test_a_request_can_be_looked_up() -> None:
    """The issuer's own number of the request is told; a nonsensical one is not."""
    headers = {"x-request-id": "req_123", "cf-ray": "bad ray\nInjected: 1"}
    with pytest.raises(IssuerTrouble) as raised:
        read_token_response(500, headers, b"")
    assert "x-request-id req_123" in raised.value.message
    assert "Injected" not in raised.value.message


NAMES = st.sampled_from(["error", "code", "message", "error_description", "id_token", "type"])
VALUES = st.none() | st.text() | st.floats()
DOCUMENTS = st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner))


@given(
    st.sampled_from([200, 302, 400, 401, 403, 404, 429, 500, 503]),
    st.binary(max_size=200) | DOCUMENTS.map(_body),
    st.sampled_from([b"", b"S3CRET" * 10]),
)
def test_every_answer_ends_in_words(status: int, body: bytes, more: bytes) -> None:
    """No body leads to another exception, and none is shown."""
    with pytest.raises(HeadlessLoginError) as raised:
        read_token_response(status, {}, body + more)
    assert raised.value.__cause__ is None
    assert "S3CRETS3CRET" not in raised.value.message + raised.value.hint


@given(st.text())
def test_foreign_text_is_made_harmless(text: str) -> None:
    """What is shown is one printable line without a whole token."""
    assert printable(text).isprintable()
    assert "x" * 40 not in printable("x" * 40 + text)


def test_a_foreign_text_is_cleaned_before_it_is_cut() -> None:
    """No half token ends a text of 240 characters; a quadratic cleaning would not end here."""
    for blank in (" ", "\x00", "\n"):
        assert "Q" not in printable("x" + blank * 1890 + "Q" * 90)
    assert len(printable(("Q" * 39 + " ") * 50_000)) == 240
