"""Whether an ID token is believed: signature, issuer, audience, time, account, at_hash."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from headless_login.errors import SignInRefused
from headless_login.oauth.id_token import verify_id_token
from headless_login.oauth.identity import LEEWAY, Identity, identity_of
from headless_login.oauth.provider import CODEX
from headless_login.oauth.values import Tokens

NOW = 1_800_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, auto_kid=True)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=True)  # same key id, another key
KEYS = KeySet.import_key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})
AUTH, ACCOUNT = "https://api.openai.com/auth", "chatgpt_account_id"
Claims = dict[str, Any]
Key = RSAKey | ECKey
CLAIMS: Claims = {
    "iss": CODEX.issuer,
    "aud": [CODEX.client_id],
    "exp": NOW + 3600,
    "iat": NOW,
    "email": "ada@example.com",
    AUTH: {ACCOUNT: "acc", "chatgpt_plan_type": "plus"},
}
ADA = Identity("ada@example.com", "acc", "plus")


def _sign(claims: Claims, key: Key = RSA, algorithm: str = "RS256", **header: object) -> str:
    head = {"alg": algorithm, "kid": key.kid, **header}
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(head, claims, key, algorithms=[algorithm])


def _verify(id_token: str, keys: KeySet | None = KEYS) -> Identity:
    return verify_id_token(Tokens(id_token, "access", "refresh"), CODEX, keys, now=NOW)


def _at_hash(digest: str) -> str:
    """Return the left half of the access token's hash (OpenID Connect Core §3.1.3.6)."""
    whole = hashlib.new(digest, b"access").digest()
    return urlsafe_b64encode(whole[: len(whole) // 2]).decode().rstrip("=")


PROFILE = {"email": "", "https://api.openai.com/profile": {"email": "ada@example.com"}}
BELIEVED: dict[str, tuple[Claims, Key, str]] = {
    "RS256": ({}, RSA, "RS256"),
    "PS256": ({}, RSA, "PS256"),
    "ES256": ({}, EC, "ES256"),
    "a single audience as a text": ({"aud": CODEX.client_id}, RSA, "RS256"),
    "an email in the profile": (PROFILE, RSA, "RS256"),
    "a clock behind ours": ({"exp": NOW - LEEWAY + 5}, RSA, "RS256"),
    "a clock before ours": ({"iat": NOW + LEEWAY - 5}, RSA, "RS256"),
    "at_hash by SHA-256": ({"at_hash": _at_hash("sha256")}, RSA, "RS256"),
    "at_hash by SHA-384": ({"at_hash": _at_hash("sha384")}, RSA, "RS384"),
    "at_hash by SHA-512": ({"at_hash": _at_hash("sha512")}, RSA, "RS512"),
}


@pytest.mark.parametrize("case", BELIEVED)
def test_a_good_token_names_the_person(case: str) -> None:
    """Email, account and plan are believed, with any key pair and clocks two minutes apart."""
    changes, key, algorithm = BELIEVED[case]
    assert _verify(_sign(CLAIMS | changes, key, algorithm)) == ADA


def test_one_key_needs_no_key_id() -> None:
    """A single published key verifies a token without `kid`; of two, none is guessed."""
    token = _sign(CLAIMS, kid=None)
    assert _verify(token, KeySet.import_key_set({"keys": [RSA.as_dict(private=False)]})) == ADA
    with pytest.raises(SignInRefused):
        _verify(token)


ID = CODEX.client_id
WRONG: dict[str, list[Claims]] = {
    "(iss)": [{"iss": [CODEX.issuer]}, {"iss": f"{CODEX.issuer}/"}, {"iss": f"{CODEX.issuer}.x"}],
    "claim iss": [{"iss": None}],
    "claim aud": [{"aud": None}],
    "(aud)": [{"aud": []}, {"aud": ["other"]}, {"aud": {"a": 1}}],
    "(azp)": [{"aud": [ID, "other"]}, {"aud": [ID, "other"], "azp": "other"}, {"azp": "other"}],
    "expired": [{"exp": NOW - LEEWAY - 1}],
    "exp": [{"exp": "tomorrow"}],
    "claim exp": [{"exp": None}],
    "future": [{"iat": NOW + LEEWAY + 60}],
    "not valid yet": [{"nbf": NOW + LEEWAY + 60}],
    "at_hash": [{"at_hash": "x"}, {"at_hash": None}, {"at_hash": 5}],
}


@pytest.mark.parametrize(
    ("phrase", "change"), [(phrase, each) for phrase, changes in WRONG.items() for each in changes]
)
@pytest.mark.parametrize("keys", [KEYS, None], ids=["keys", "no keys"])
def test_a_wrong_claim_is_named(phrase: str, change: Claims, keys: KeySet | None) -> None:
    """Each is refused by its name, whether or not the signature could be checked."""
    with pytest.raises(SignInRefused) as refused:
        _verify(_sign(CLAIMS | change), keys)
    assert refused.value.error == "id_token_invalid"
    assert phrase in refused.value.message


def _part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


GOOD = _sign(CLAIMS)
HEAD, _, SIGNATURE = GOOD.split(".")
PUBLIC = OctKey.import_key(json.dumps(RSA.as_dict(private=False)))
NOT_ACCEPTED, NOT_SIGNED = "not signed in an accepted way", "not signed by the issuer"
FORGED = {
    "another key of the same id": (_sign(CLAIMS, OTHER), NOT_SIGNED),
    "a shared secret": (jwt.encode({"alg": "HS256", "kid": "rsa"}, CLAIMS, PUBLIC), NOT_ACCEPTED),
    "alg none": (f"{_part({'alg': 'none'})}.{_part(CLAIMS)}.", NOT_ACCEPTED),
    "alg NONE": (f"{_part({'alg': 'NONE'})}.{_part(CLAIMS)}.{SIGNATURE}", NOT_ACCEPTED),
    "no signature": (GOOD.removesuffix(SIGNATURE), NOT_SIGNED),
    "a cut signature": (GOOD[:-10], NOT_SIGNED),
    "an unknown key": (_sign(CLAIMS, RSA, kid="unknown"), NOT_SIGNED),
    "other claims": (f"{HEAD}.{_part(CLAIMS | {'email': 'e@x.example'})}.{SIGNATURE}", NOT_SIGNED),
    "no token": ("nonsense", "not a JSON Web Token"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_signature_is_refused(case: str) -> None:
    token, phrase = FORGED[case]
    with pytest.raises(SignInRefused, match=phrase):
        _verify(token)


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_.="))
def test_no_changed_token_is_believed(position: int, letter: str) -> None:
    """With any letter changed it is refused, or says the very same (unused last bits)."""
    at = position % len(GOOD)
    changed = GOOD[:at] + letter + GOOD[at + 1 :]
    said = ""
    try:
        assert _verify(changed) == ADA
    except SignInRefused as refused:
        said = refused.message + refused.hint
    assert changed not in said


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_nonsense_is_refused_in_words(token: str) -> None:
    """Any text in place of a token leads to a refusal, with keys and without."""
    for keys in (KEYS, None):
        with pytest.raises(SignInRefused):
            _verify(token, keys)


_SCALAR = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
_JSON = _SCALAR | st.lists(_SCALAR, max_size=3) | st.dictionaries(st.text(max_size=8), _SCALAR)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "azp", "at_hash", "nbf", "sub", "jti"]), _JSON))
def test_no_claims_lead_to_anything_but_words(changes: Claims) -> None:
    """Well signed claims of any shape lead to an identity, or to a refusal."""
    with suppress(SignInRefused):
        assert isinstance(_verify(_sign(CLAIMS | changes)), Identity)


@pytest.mark.parametrize("auth", [None, "acc", {ACCOUNT: ""}, {ACCOUNT: 7}])
def test_an_account_may_be_missing(auth: object) -> None:
    """As Codex has it; a workspace that is demanded is judged elsewhere."""
    assert _verify(_sign(CLAIMS | {AUTH: auth})).account_id is None


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from([*CLAIMS]), _JSON))
def test_identities_are_read_from_anything(claims: Claims) -> None:
    assert isinstance(identity_of(claims), Identity)
