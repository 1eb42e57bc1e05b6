"""Forged tokens, wrong ones, key sets with something unusable in them; and a sign-in by them."""

from __future__ import annotations

import codecs
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from headless_login.oauth.values import Grant
from headless_login.practice.wire import Answer
from headless_login.signin import begin, complete
from tests.support.canned import NOWHERE, Kept, canned

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


def sign(claims: object = CLAIMS, key: RSAKey = RSA, header: object = HEADER) -> str:
    """Sign by RS256 whatever the header says, and whatever the claims are."""
    signed = f"{_part(header)}.{_part(claims)}"
    assert key.private_key
    signature = key.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_part(signature)}"


def _rows(name: str, make: Callable[[Any], str], *values: object) -> dict[str, str]:
    return {f"{name} {value!r:.30}": make(value) for value in values}


def _headed(**more: object) -> str:
    return sign(key=OTHER, header=HEADER | more)


def _claims(name: str, *values: object) -> dict[str, str]:
    return _rows(name, lambda value: sign(CLAIMS | {name: value}), *values)


def _numbers(name: str, *texts: str) -> dict[str, str]:
    """Write a number as JSON of Python's would not."""
    old = f'"{name}": {CLAIMS[name]}'
    return _rows(
        f"{name} of", lambda text: sign(TEXT.replace(old, f'"{name}": {text}').encode()), *texts
    )


GOOD = sign()
HEAD, BODY, SIGNATURE = GOOD.split(".")
ID, OTHER_KEY = NOWHERE.client_id, OTHER.as_dict(private=False)
DEEP = "[" * 90_000 + "]" * 90_000
# What nobody but the issuer could have signed, and did not; its key set makes no difference.
FORGED: dict[str, str] = {
    "another key": sign(key=OTHER),
    "another key, unnamed": sign(key=OTHER, header={"alg": "RS256"}),
    "a weak key": sign(key=WEAK, header={"alg": "RS256", "kid": "weak"}),
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
    "two issuers": sign(f'{{"iss": "http://x", {TEXT[1:]}'.encode()),
    "two emails": sign(f'{{"email": "eve@x.example", {TEXT[1:]}'.encode()),
    "two algorithms": sign(header=b'{"alg": "none", "alg": "RS256", "kid": "rsa"}'),
    "deep claims": sign(f'{TEXT[:-1]}, "x": {DEEP}}}'.encode()),
    "deep header": sign(header=b'{"alg": "RS256", "kid": "rsa", "x": %s}' % DEEP.encode()),
    "a byte-order mark": sign(codecs.BOM_UTF8 + TEXT.encode()),
    "UTF-16": sign(TEXT.encode("utf-16")),
    "no UTF-8": sign(TEXT.encode().replace(b"ada@", b"\xff")),
    "a list": sign([CLAIMS]),
    "padding": f"{GOOD}==",
    "a line break": f"{GOOD}\n",
    "a blank in it": GOOD.replace(".", ". "),
    **_rows("crit", lambda crit: sign(header=HEADER | {"crit": crit}), [], ["b64"], None, ["x"]),
    "b64": sign(header=HEADER | {"b64": False}),
    "b64 in crit": sign(header=HEADER | {"b64": False, "crit": ["b64"]}),
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
    "null as keys": {"keys": None},
    "no member": {},
    "a list alone": [PUBLIC],
    "null alone": None,
    "no keys": {"keys": []},
    "a key alone": PUBLIC,
}


TOKENS: dict[str, object] = {"id_token": GOOD, "access_token": ACCESS, "refresh_token": "MARKED-rt"}
GRANT = Grant("MARKED-code-0123456789", "MARKED-verifier", "http://127.0.0.1:1455/auth/callback")


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def sign_in(tokens: Answer, keys: Answer) -> tuple[Kept, list[str]]:
    """Complete a sign-in by these answers; returns what was stored, and what was said."""
    kept, said = Kept(), list[str]()
    client = canned({"/oauth/token": tokens, "/.well-known/jwks.json": keys})
    complete(GRANT, begin(NOWHERE), kept, client=client, now=lambda: NOW, say=said.append)
    return kept, said
