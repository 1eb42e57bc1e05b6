"""Whether an ID token is believed: signature, issuer, audience, time, account, at_hash."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from headless_login.errors import SignInRefused
from headless_login.oauth.id_token import LEEWAY, verify_id_token
from headless_login.oauth.identity import Identity, identity_of
from headless_login.oauth.provider import CODEX
from headless_login.oauth.values import Tokens

NOW = 1_800_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, auto_kid=True)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=True)  # same key id, another key
KEYS = KeySet.import_key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})
CLAIMS: dict[str, Any] = {
    "iss": CODEX.issuer,
    "aud": [CODEX.client_id],
    "exp": NOW + 3600,
    "iat": NOW,
    "email": "ada@example.com",
    "https://api.openai.com/auth": {"chatgpt_account_id": "acc", "chatgpt_plan_type": "plus"},
}


def _sign(
    claims: dict[str, Any], key: RSAKey | ECKey = RSA, algorithm: str = "RS256", **header: object
) -> str:
    head = {"alg": algorithm, "kid": key.kid, **header}
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(head, claims, key, algorithms=[algorithm])


def _verify(id_token: str, keys: KeySet | None = KEYS) -> Identity:
    return verify_id_token(Tokens(id_token, "access", "refresh"), CODEX, keys, now=NOW)


def test_a_good_token_names_the_person() -> None:
    """Email, account and plan come from the claims that Codex reads."""
    assert _verify(_sign(CLAIMS)) == Identity("ada@example.com", "acc", "plus")


def test_other_key_pairs_are_good_as_well() -> None:
    """The issuer may change its kind of key without locking anybody out."""
    assert _verify(_sign(CLAIMS, EC, "ES256")).account_id == "acc"
    assert _verify(_sign(CLAIMS, RSA, "PS256")).account_id == "acc"


def test_one_key_needs_no_key_id() -> None:
    """A single published key verifies a token without `kid`; of two, none is guessed."""
    token = _sign(CLAIMS, kid=None)
    single = KeySet.import_key_set({"keys": [RSA.as_dict(private=False)]})
    assert _verify(token, single).account_id == "acc"
    with pytest.raises(SignInRefused):
        _verify(token)


def test_the_email_may_stand_in_the_profile() -> None:
    """Codex reads it there, too."""
    claims = {**CLAIMS, "email": "", "https://api.openai.com/profile": {"email": "a@b.example"}}
    assert _verify(_sign(claims)).email == "a@b.example"


def test_a_single_audience_may_be_a_text() -> None:
    """RFC 7519 allows it."""
    assert _verify(_sign({**CLAIMS, "aud": CODEX.client_id})).account_id == "acc"


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"iss": CODEX.issuer + "/"}, "(iss)"),
        ({"iss": "https://auth.openai.com.evil.example"}, "(iss)"),
        ({"iss": None}, "claim iss"),
        ({"iss": ["https://auth.openai.com"]}, "(iss)"),
        ({"aud": []}, "(aud)"),
        ({"aud": ["other"]}, "(aud)"),
        ({"aud": {"a": 1}}, "(aud)"),
        ({"aud": [CODEX.client_id, "other"]}, "(azp)"),
        ({"aud": [CODEX.client_id, "other"], "azp": "other"}, "(azp)"),
        ({"azp": "other"}, "(azp)"),
        ({"exp": NOW - LEEWAY - 1}, "expired"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": None}, "claim exp"),
        ({"iat": NOW + LEEWAY + 60}, "future"),
        ({"nbf": NOW + LEEWAY + 60}, "not valid yet"),
        ({"at_hash": "x"}, "at_hash"),
        ({"at_hash": None}, "at_hash"),
        ({"at_hash": 5}, "at_hash"),
        ({"https://api.openai.com/auth": None}, "no ChatGPT account"),
        ({"https://api.openai.com/auth": "acc"}, "no ChatGPT account"),
        ({"https://api.openai.com/auth": {"chatgpt_account_id": ""}}, "no ChatGPT account"),
        ({"https://api.openai.com/auth": {"chatgpt_account_id": 7}}, "no ChatGPT account"),
    ],
)
@pytest.mark.parametrize("keys", [KEYS, None], ids=["keys", "no keys"])
def test_a_wrong_claim_is_named(change: dict[str, Any], phrase: str, keys: KeySet | None) -> None:
    """Each is refused, whether or not the signature could be checked."""
    with pytest.raises(SignInRefused) as refused:
        _verify(_sign({**CLAIMS, **change}), keys)
    assert refused.value.error == "id_token_invalid"
    assert phrase in refused.value.message


@pytest.mark.parametrize("change", [{"exp": NOW - LEEWAY + 5}, {"iat": NOW + LEEWAY - 5}])
def test_clocks_may_differ_a_little(change: dict[str, Any]) -> None:
    """Two minutes are forgiven."""
    assert _verify(_sign({**CLAIMS, **change})).account_id == "acc"


@pytest.mark.parametrize(
    ("algorithm", "digest"), [("RS256", "sha256"), ("RS384", "sha384"), ("RS512", "sha512")]
)
def test_at_hash_follows_the_algorithm(algorithm: str, digest: str) -> None:
    """The left half of the hash that the signature uses (OpenID Connect Core §3.1.3.6)."""
    whole = hashlib.new(digest, b"access").digest()
    at_hash = urlsafe_b64encode(whole[: len(whole) // 2]).decode().rstrip("=")
    assert _verify(_sign({**CLAIMS, "at_hash": at_hash}, RSA, algorithm)).account_id == "acc"


def _part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_signatures_of_others_are_refused() -> None:
    """Another key under the same key id, a shared secret, none at all, and a cut-off one."""
    public = json.dumps(RSA.as_dict(private=False))
    confused = jwt.encode({"alg": "HS256", "kid": "rsa"}, CLAIMS, OctKey.import_key(public))
    good = _sign(CLAIMS)
    head, _, signature = good.split(".")
    for token in (
        _sign(CLAIMS, OTHER),
        confused,
        f"{_part({'alg': 'none'})}.{_part(CLAIMS)}.",
        f"{_part({'alg': 'NONE', 'kid': 'rsa'})}.{_part(CLAIMS)}.{signature}",
        good.rpartition(".")[0] + ".",
        good[:-10],
        _sign(CLAIMS, RSA, kid="unknown"),
        f"{head}.{_part({**CLAIMS, 'email': 'eve@example.com'})}.{signature}",
    ):
        with pytest.raises(SignInRefused):
            _verify(token)


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_.="))
def test_no_changed_token_is_believed(position: int, letter: str) -> None:
    """Any one letter changed anywhere: refused, or the very same content (unused last bits)."""
    good = _sign(CLAIMS)
    at = position % len(good)
    changed = good[:at] + letter + good[at + 1 :]
    believed: Identity | None = None
    said = ""
    try:
        believed = _verify(changed)
    except SignInRefused as refused:
        said = refused.message + refused.hint
    assert changed not in said
    assert believed in (None, Identity("ada@example.com", "acc", "plus"))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_nonsense_is_refused_in_words(token: str) -> None:
    """Whatever stands in place of a token, nothing but a refusal comes of it."""
    for keys in (KEYS, None):
        with pytest.raises(SignInRefused):
            _verify(token, keys)


_SCALAR = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
_JSON = _SCALAR | st.lists(_SCALAR, max_size=3) | st.dictionaries(st.text(max_size=8), _SCALAR)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "azp", "at_hash", "nbf", "sub", "jti"]), _JSON))
def test_no_claims_lead_to_anything_but_words(changes: dict[str, Any]) -> None:
    """Claims of any shape, well signed: an identity with an account, or a refusal."""
    try:
        identity = _verify(_sign({**CLAIMS, **changes}))
    except SignInRefused:
        return
    assert identity.account_id


@given(_JSON)
def test_identities_are_read_from_anything(claims: object) -> None:
    """Reading for display never fails."""
    if isinstance(claims, dict):
        assert isinstance(identity_of(claims), Identity)
