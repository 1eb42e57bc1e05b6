"""Whether an ID token is to be believed (OpenID Connect Core §3.1.3.7).

Codex checks nothing here (codex-facts.md §7), so this is the only place where a forged, foreign
or expired token is stopped before it is stored.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
import warnings
from collections.abc import Mapping, Sequence

from joserfc import jwt
from joserfc.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    MissingClaimError,
)
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from headless_login.errors import SignInRefused
from headless_login.oauth.identity import (
    LEEWAY,
    Claims,
    Identity,
    identity_of,
    numeric_date,
    read_part,
)
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import base64url
from headless_login.oauth.text import clock_setting
from headless_login.oauth.values import Tokens
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

# Only signatures by a key pair: `none` and HS* would let any client sign (RFC 8725 §3.1, §3.2).
SIGNATURE_ALGORITHMS = (
    "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split()  # noqa: SIM905
)
_SHORTEST_RSA_KEY = 2048  # bits
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def verify_id_token(
    tokens: Tokens, provider: Provider, keys: KeySet | None, *, now: float
) -> Identity:
    """Return whom the ID token names, once everything in it holds.

    Without `keys` (they could not be fetched) the signature goes unchecked, which §3.1.3.7 (6)
    allows for a token that came over TLS from the token endpoint. `now` is in seconds since the
    epoch.

    Raises:
        SignInRefused: `id_token_invalid`, with what is wrong.
    """
    header, claims = (_strictly(tokens.id_token, index) for index in (0, 1))
    if header is None or claims is None:
        raise _invalid("is not a JSON Web Token")
    algorithm = _algorithm(header)
    unsigned = tokens.id_token.endswith(".")
    if unsigned or (keys is not None and signed_claims(tokens.id_token, keys) is None):
        raise _invalid("is not signed by the issuer")
    wrong = _wrong_claim(claims, provider, int(now))
    if wrong:
        raise _invalid(wrong)
    if "at_hash" in claims and not _at_hash_fits(claims["at_hash"], tokens, algorithm):
        raise _invalid("does not belong to the access token that came with it (at_hash)")
    return identity_of(claims)


def _strictly(token: str, index: int) -> Claims | None:
    """Return the object in one part of a token, or None if readers could differ about it.

    Codex reads the token once more, and more strictly than Python: UTF-8 alone, no member twice,
    no NaN, no half of a surrogate pair.
    """
    if not _COMPACT.fullmatch(token):
        return None
    encoded = token.split(".")[index].replace("-", "+").replace("_", "/")
    try:
        text = binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _refuse("twins")


def _refuse(what: str) -> NoReturn:
    raise ValueError(what)


def _algorithm(header: Claims) -> str:
    if "crit" in header or "b64" in header:  # RFC 7797 §6: `b64` never without `crit`
        raise _invalid("demands an extension that is not known (crit)")
    algorithm = header.get("alg")
    if algorithm not in SIGNATURE_ALGORITHMS:
        raise _invalid("is not signed in an accepted way")
    return str(algorithm)


def usable_keys(published: Sequence[object]) -> KeySet:
    """Return the keys of a published set that can verify a signature, each judged by itself.

    One that cannot be read must not switch the check off; a weak one verifies nothing (RFC 7518
    §3.3: 2048 bits at least), nor does one whose private half anybody can read.
    """
    usable: list[RSAKey | ECKey | OKPKey] = []
    for each in published:
        try:
            with warnings.catch_warnings(action="ignore"):  # of weak keys, which are not used
                key = KeySet.import_key_set({"keys": [each]}).keys[0]  # type: ignore[list-item]
        except Exception:  # noqa: BLE001, S112  # nosec B112  # whatever its parsers raise
            continue
        if isinstance(key, RSAKey) and key.public_key.key_size < _SHORTEST_RSA_KEY:
            continue
        if isinstance(key, RSAKey | ECKey | OKPKey) and not key.is_private:
            usable.append(key)
    return KeySet(usable)  # type: ignore[arg-type]


def signed_claims(
    token: str, keys: KeySet, algorithms: Sequence[str] = SIGNATURE_ALGORITHMS
) -> Claims | None:
    """Return the claims of a JWT that one of the keys has signed, or None."""
    named = (read_part(token, 0) or {}).get("kid")
    # Several keys may have one name (RFC 7517 §4.5).
    for each in [KeySet([key]) for key in keys if key.kid == named] or [keys]:
        try:
            # Unknown members of the header are ignored (RFC 7515 §4); `crit` never is.
            registry = JWSRegistry(algorithms=[*algorithms], strict_check_header=False)
            registry.max_header_length = len(token)  # it may carry certificates
            return jwt.decode(token, each, registry=registry).claims
        except Exception:  # noqa: BLE001, S112  # nosec B112  # its text is foreign
            continue
    return None


def _wrong_claim(claims: Claims, provider: Provider, now: int) -> str:
    """Return what is wrong with the claims, or an empty text."""
    rules: Mapping[str, Any] = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "exp": {"essential": True},
    }
    try:
        JWTClaimsRegistry(now=now, leeway=LEEWAY, **rules).validate(dict(claims))
    except ExpiredTokenError:
        return _WRONG_TIMES["exp"]
    except MissingClaimError as missing:
        return f"lacks the claim {missing.claim}"
    except InvalidClaimError as invalid:
        return (_WRONG_CLAIMS | _WRONG_TIMES).get(
            invalid.claim, f"has a wrong claim {invalid.claim}"
        )
    if numeric_date(claims, "exp") is None:
        return "has a wrong claim exp"
    audience = claims["aud"]
    several = isinstance(audience, list) and len(audience) > 1
    if claims.get("azp", None if several else provider.client_id) != provider.client_id:
        return "was issued to another client (azp)"
    return ""


_WRONG_CLAIMS = {
    "iss": "comes from another issuer (iss)",
    "aud": "was issued for another client (aud)",
}
_WRONG_TIMES = {
    "exp": "has expired",
    "iat": "was issued in the future",
    "nbf": "is not valid yet",
}
_SET_CLOCK = (
    f"Set it right ({clock_setting()}), then start a new sign-in. If it is right, "
    "the issuer or the network is not to be trusted."
)


def _at_hash_fits(at_hash: object, tokens: Tokens, algorithm: str) -> bool:
    """Compare with the left half of the access token's hash (OpenID Connect Core §3.1.3.6)."""
    bits = algorithm[2:] if algorithm[2:].isdigit() else "512"  # EdDSA: Ed25519 hashes by SHA-512
    digest = hashlib.new(f"sha{bits}", tokens.access_token.encode()).digest()
    expected = base64url(digest[: len(digest) // 2])
    told = at_hash.encode(errors="surrogatepass") if isinstance(at_hash, str) else b""
    return hmac.compare_digest(told, expected.encode())


def _invalid(what: str) -> SignInRefused:
    told, hint = f"The issuer's ID token {what}", ""
    if what in _WRONG_TIMES.values():
        told, hint = f"{told}, by this machine's clock", _SET_CLOCK
    return SignInRefused("id_token_invalid", f"{told}. Nothing was written.", hint)
