"""Signing keys, and what ID and access tokens say; joserfc is imported when the first is made."""

from __future__ import annotations

import hashlib
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

    from headless_login.practice.grants import Approval
    from headless_login.practice.person import Person

Claims = dict[str, Any]

_AUTH = "https://api.openai.com/auth"  # codex-facts.md §5
_PROFILE = "https://api.openai.com/profile"


class SigningKeys:
    """RSA keys: the newest one signs, all that are published verify."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[RSAKey] = []

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a JWT, signed by RS256, with the `kid` of its key (RFC 7515)."""
        from joserfc import jwt

        key = self._published()[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), key)

    def public(self) -> dict[str, object]:
        """Return the public halves as a JWK Set (RFC 7517 §5)."""
        return {"keys": [key.as_dict(private=False) for key in self._published()]}

    def rotate(self, *, retire_old: bool = False) -> None:
        """Sign with a new key from now on; the old ones stay published unless they retire."""
        kept = [] if retire_old else self._published()
        with self._lock:
            self._keys = [*kept, _new_key()]

    def _published(self) -> list[RSAKey]:
        with self._lock:
            if not self._keys:
                self._keys = [_new_key()]
            return self._keys


def _new_key() -> RSAKey:
    from joserfc.jwk import RSAKey

    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


def access_token_claims(approval: Approval, person: Person) -> Claims:
    """Return what an access token says, but for `iss`, `iat` and `exp` (RFC 9068 §2.2)."""
    return {
        "aud": ["https://api.openai.com/v1"],
        "client_id": approval.request.client_id,
        "sub": person.user_id,
        "jti": secrets.token_urlsafe(16),
        "scp": approval.request.scope.split(" "),
        _AUTH: _account(person),
        _PROFILE: {"email": person.email},
    }


def id_token_claims(approval: Approval, person: Person, access_token: str) -> Claims:
    """Return what an ID token says, but for `iss`, `iat` and `exp` (OpenID Connect Core §2)."""
    return {
        "aud": [approval.request.client_id],
        "sub": person.user_id,
        "auth_time": approval.auth_time,
        "email": person.email,
        "at_hash": at_hash(access_token),
        _AUTH: _account(person),
    }


def at_hash(access_token: str) -> str:
    """Return the left half of the SHA-256, in base64url (OpenID Connect Core §3.1.3.6)."""
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def _account(person: Person) -> dict[str, str]:
    account = {"chatgpt_account_id": person.account_id} if person.account_id else {}
    return {**account, "chatgpt_plan_type": person.plan, "chatgpt_user_id": person.user_id}
