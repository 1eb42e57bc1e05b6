"""Forged tokens and hostile answers, surroundings and files: refused in words, never a defect."""

from __future__ import annotations

import codecs
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from headless_login.errors import SignInRefused
from headless_login.oauth.id_token import usable_keys, verify_id_token
from headless_login.oauth.values import Tokens
from tests.support.canned import NOWHERE

NOW = 1_800_000_000
RSA, OTHER = (RSAKey.generate_key(2048, {"kid": "rsa"}) for _ in range(2))
EC = ECKey.generate_key("P-256", {"kid": "ec"})
with warnings.catch_warnings(action="ignore"):
    WEAK = RSAKey.generate_key(1024, {"kid": "weak"})
PUBLIC, ELLIPTIC = RSA.as_dict(private=False), EC.as_dict(private=False)
SECRET = OctKey.import_key(json.dumps(PUBLIC))
ACCESS, HEADER = "eyJMARKED-access", {"alg": "RS256", "kid": "rsa"}
CLAIMS: dict[str, Any] = {
    "iss": NOWHERE.issuer,
    "aud": [NOWHERE.client_id],
    "exp": NOW + 3600,
    "iat": NOW,
    "email": "ada@example.com",
}
TEXT = json.dumps(CLAIMS)


def _part(value: object) -> str:
    """Encode a part; bytes as they are, so that it may be no JSON of Python's."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).decode().rstrip("=")


def _sign(claims: object = CLAIMS, key: RSAKey = RSA, header: object = HEADER) -> str:
    """Sign by RS256 whatever the header says, and whatever the claims are."""
    signed = f"{_part(header)}.{_part(claims)}"
    assert key.private_key
    signature = key.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_part(signature)}"


def _rows(name: str, make: Callable[[Any], str], *values: object) -> dict[str, str]:
    return {f"{name} {value!r:.30}": make(value) for value in values}


def _headed(**more: object) -> str:
    return _sign(key=OTHER, header=HEADER | more)


def _claims(name: str, *values: object) -> dict[str, str]:
    return _rows(name, lambda value: _sign(CLAIMS | {name: value}), *values)


def _numbers(name: str, *texts: str) -> dict[str, str]:
    """Write a number as JSON of Python's would not."""
    old = f'"{name}": {CLAIMS[name]}'
    return _rows(
        f"{name} of", lambda text: _sign(TEXT.replace(old, f'"{name}": {text}').encode()), *texts
    )


GOOD = _sign()
HEAD, BODY, SIGNATURE = GOOD.split(".")
ID, OTHER_KEY = NOWHERE.client_id, OTHER.as_dict(private=False)
DEEP = "[" * 90_000 + "]" * 90_000
# What nobody but the issuer could have signed, and did not; its key set makes no difference.
FORGED: dict[str, str] = {
    "another key": _sign(key=OTHER),
    "another key, unnamed": _sign(key=OTHER, header={"alg": "RS256"}),
    "a weak key": _sign(key=WEAK, header={"alg": "RS256", "kid": "weak"}),
    "HS256 with the public key": jwt.encode({"alg": "HS256", "kid": "rsa"}, CLAIMS, SECRET),
    "HS256 with another": jwt.encode({"alg": "HS256"}, CLAIMS, OctKey.import_key("s" * 32)),
    **_rows("alg", lambda alg: f"{_part({'alg': alg})}.{BODY}.", "none", "nOnE", "", "RS256"),
    **_rows("alg", lambda alg: _headed(alg=alg), None, 5, ["RS256"], {}, "rs256", "RS256\0"),
    **_rows("kid", lambda kid: _headed(kid=kid), "../rsa", "rsa\0", "' OR 1=1", "", 0, ["rsa"]),
    "its own key": _headed(jwk=OTHER_KEY),
    "its own address": _headed(jku="https://evil.example/jwks.json", x5u="https://evil.example/x"),
    "its own certificate": _headed(x5c=["MIIB"], x5t="x"),
    "a forged type": _headed(typ="at+jwt", cty="JWT", zip="DEF", enc="A128GCM"),
    "no signature": f"{HEAD}.{BODY}.",
    "a cut signature": GOOD[:-20],
    "an empty signature": f"{HEAD}.{BODY}.AA",
    "a signature of zeros": f"{HEAD}.{BODY}.{'A' * len(SIGNATURE)}",
    "two signatures": f"{GOOD}.{SIGNATURE}",
    "the signature of another": f"{HEAD}.{_part(CLAIMS | {'email': 'eve@x.example'})}.{SIGNATURE}",
    "no header": f".{BODY}.{SIGNATURE}",
    "no claims": f"{HEAD}..{SIGNATURE}",
    "as JSON": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "encrypted": f"{_part({'alg': 'dir', 'enc': 'A128GCM'})}..x.y.z",
    "nothing": "",
    "dots": "..",
    "half a character": "\ud800.\ud800.\ud800",
}
# What the issuer has signed, and is wrong all the same: with keys and without.
WRONG: dict[str, str] = {
    **_claims("iss", None, "", 5, [NOWHERE.issuer], f"{NOWHERE.issuer}/", "http://127.0.0.1:2"),
    **_claims("aud", None, "", [], f"{ID}x", {ID: 1}, [[ID]], 5, [ID, "x"]),
    **_claims("exp", None, "", 0, -1, NOW - 301, True, 10**400),
    **_claims("iat", None, "x", NOW + 301, 10**400, []),
    **_claims("nbf", None, "x", NOW + 301, {}),
    **_claims("azp", None, "", "x", [ID]),
    **_claims("at_hash", None, "", "x", 5, [], "\ud800"),
    **_claims("email", "\ud800"),
    **_numbers("exp", "NaN", "Infinity", "1e999", "9" * 5000),
    **_numbers("iat", "NaN", "-1e999"),
    "two issuers": _sign(f'{{"iss": "http://x", {TEXT[1:]}'.encode()),
    "two emails": _sign(f'{{"email": "eve@x.example", {TEXT[1:]}'.encode()),
    "two algorithms": _sign(header=b'{"alg": "none", "alg": "RS256", "kid": "rsa"}'),
    "deep claims": _sign(f'{TEXT[:-1]}, "x": {DEEP}}}'.encode()),
    "deep header": _sign(header=b'{"alg": "RS256", "kid": "rsa", "x": %s}' % DEEP.encode()),
    "a byte-order mark": _sign(codecs.BOM_UTF8 + TEXT.encode()),
    "UTF-16": _sign(TEXT.encode("utf-16")),
    "no UTF-8": _sign(TEXT.encode().replace(b"ada@", b"\xff")),
    "a list": _sign([CLAIMS]),
    "padding": f"{GOOD}==",
    "a line break": f"{GOOD}\n",
    "a blank in it": GOOD.replace(".", ". "),
    **_rows("crit", lambda crit: _sign(header=HEADER | {"crit": crit}), [], ["b64"], None, ["x"]),
    "b64": _sign(header=HEADER | {"b64": False}),
    "b64 in crit": _sign(header=HEADER | {"b64": False, "crit": ["b64"]}),
}
UNUSABLE: dict[str, object] = {
    "unknown curve": ELLIPTIC | {"crv": "P-999"},
    "a point off the curve": ELLIPTIC | {"x": "AA"},
    "RSA without e": {name: value for name, value in PUBLIC.items() if name != "e"},
    "RSA of e = 1": OTHER_KEY | {"e": "AQ"},
    "private key": OTHER.as_dict(private=True),
    "weak key": WEAK.as_dict(private=False),
    "symmetric key": SECRET.as_dict(private=True) | {"kid": "rsa"},
    "another of its name": RSAKey.generate_key(2048, {"kid": "rsa"}).as_dict(private=False),
    "for encryption": OTHER_KEY | {"use": "enc"},
    "unknown kind": {"kty": "AKP", "kid": "rsa"},
    "no kind": {"kid": "rsa"},
    "a list as kind": PUBLIC | {"kty": ["RSA"]},
    "a number as name": OTHER_KEY | {"kid": 5},
    "a huge one": PUBLIC | {"n": "_" * 20_000},
    "a number": 5,
    "null": None,
    "a list": [PUBLIC],
}
NO_LIST: dict[str, object] = {
    "an object": {"keys": {"rsa": PUBLIC}},
    "a text": {"keys": "rsa"},
    "null": {"keys": None},
    "no member": {},
    "a list alone": [PUBLIC],
    "null alone": None,
    "no keys": {"keys": []},
    "a key alone": PUBLIC,
}
BESIDE = [*UNUSABLE, "nothing"]


def _set(beside: str) -> list[object]:
    return [UNUSABLE[beside], PUBLIC] if beside in UNUSABLE else [PUBLIC]


def _refused(token: str, keys: list[object] | None) -> SignInRefused:
    published = None if keys is None else usable_keys(keys)
    with pytest.raises(SignInRefused) as refused:
        verify_id_token(Tokens(token, ACCESS, "r"), NOWHERE, published, now=NOW)
    assert refused.value.error == "id_token_invalid"
    assert refused.value.__cause__ is None
    return refused.value


@pytest.mark.parametrize("beside", BESIDE)
def test_no_forged_token_is_believed(beside: str) -> None:
    """With each key set, whatever stands in it beside the good key or instead of it."""
    keys = _set(beside)
    for token in FORGED.values():
        _refused(token, keys)
        _refused(token, keys[:-1])
    assert verify_id_token(Tokens(GOOD, ACCESS, "r"), NOWHERE, usable_keys(keys), now=NOW).email
    _refused(GOOD, keys[:-1])


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("keys", [[PUBLIC], None], ids=["keys", "no keys"])
def test_no_wrong_token_is_believed(case: str, keys: list[object] | None) -> None:
    """The issuer's own signature makes no wrong or ambiguous claim right."""
    _refused(WRONG[case], keys)


SELF_EVIDENT = [name for name in FORGED if name.startswith(("alg", "HS256", "no "))]


@pytest.mark.parametrize("case", SELF_EVIDENT)
def test_without_keys_some_are_refused_all_the_same(case: str) -> None:
    """What says of itself that nobody signed it needs no keys to be refused."""
    _refused(FORGED[case], None)
