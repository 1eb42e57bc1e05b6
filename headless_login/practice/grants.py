"""Codes and refresh tokens, in memory, and the judgement of token requests; no I/O."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from headless_login.practice.wire import Parameters, Refused, nested, refused

CODE_LIFETIME = 600  # seconds; RFC 6749 §4.1.2 recommends ten minutes at most

_VERIFIER = re.compile(r"[A-Za-z0-9._~\-]{43,128}")  # RFC 7636 §4.1


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An acceptable authorization request."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    state: str = field(repr=False)
    originator: str = ""
    allowed_workspace_ids: tuple[str, ...] = ()

    def response(self, outcome: Parameters) -> str:
        """Return where the browser goes with the outcome and the state (RFC 6749 §4.1.2)."""
        return f"{self.redirect_uri}?{urlencode({**outcome, 'state': self.state})}"


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person approved, and when (seconds since the epoch)."""

    request: AuthorizationRequest
    auth_time: int


@dataclass(frozen=True, slots=True)
class Granted:
    """A token request that held: what it is good for, and the refresh token that goes with it."""

    approval: Approval
    refresh_token: str = field(repr=False)


@dataclass(slots=True)
class _Family:
    """Everything that one approval led to; it is revoked as a whole."""

    approval: Approval
    revoked: bool = False


@dataclass(slots=True)
class _Issued:
    """A code, good until `expires_at`, or a refresh token."""

    family: _Family
    expires_at: float = 0.0
    used: bool = False


class Grants:
    """The codes and refresh tokens of one client; every judgement is atomic."""

    def __init__(self, client_id: str, now: Callable[[], float]) -> None:
        self.client_id = client_id
        self.now = now
        self._lock = threading.Lock()
        self._codes: dict[str, _Issued] = {}
        self._refresh_tokens: dict[str, _Issued] = {}

    def new_code(self, request: AuthorizationRequest) -> str:
        """Return an authorization code of 90 characters for a request approved just now."""
        code = f"ac_{secrets.token_urlsafe(65)}"
        now = self.now()
        self._codes[code] = _Issued(_Family(Approval(request, int(now))), now + CODE_LIFETIME)
        return code

    def redeem(self, form: Parameters) -> Granted:
        """Judge a token request (RFC 6749 §4.1.3, §6); raises Refused."""
        [grant_type] = self._of_the_client(form, "grant_type")
        with self._lock:
            if grant_type == "authorization_code":
                return self._redeem_code(*_required(form, "code", "redirect_uri", "code_verifier"))
            if grant_type == "refresh_token":
                return self._redeem_refresh_token(*_required(form, "refresh_token"))
        raise refused("unsupported_grant_type", "The grant type is not supported.")

    def revoke(self, form: Parameters) -> None:
        """Take a refresh token's family back; an unknown one is no error (RFC 7009 §2.2)."""
        [token] = self._of_the_client(form, "token")
        with self._lock:
            if token in self._refresh_tokens:
                self._refresh_tokens[token].family.revoked = True

    def _of_the_client(self, form: Parameters, *names: str) -> list[str]:
        client_id, *values = _required(form, "client_id", *names)
        if client_id != self.client_id:
            raise refused("invalid_client", "The client is unknown.", status=401)
        return values

    def _redeem_code(self, code: str, redirect_uri: str, verifier: str) -> Granted:
        issued = self._codes.get(code)
        if issued is None:
            raise refused("invalid_grant", "The code is unknown.")
        if issued.used:
            issued.family.revoked = True  # RFC 6749 §4.1.2: one of the two has stolen it
            raise refused("invalid_grant", "The code has been used already.")
        if self.now() > issued.expires_at:
            raise refused("invalid_grant", "The code has expired.")
        request = issued.family.approval.request
        if redirect_uri != request.redirect_uri:
            raise refused("invalid_grant", "The redirect_uri is not the authorization request's.")
        if not _fits(verifier, request.code_challenge):
            raise refused("invalid_grant", "The code_verifier does not fit the code_challenge.")
        return self._granted(issued)

    def _redeem_refresh_token(self, refresh_token: str) -> Granted:
        issued = self._refresh_tokens.get(refresh_token)
        if issued is None or issued.family.revoked:
            raise Refused(nested(401, "refresh_token_invalidated", "The refresh token is void."))
        if issued.used:
            # The family lives on: whoever refreshed first stays signed in (codex-facts.md §5).
            raise Refused(nested(401, "refresh_token_reused", "The refresh token has been used."))
        return self._granted(issued)

    def _granted(self, issued: _Issued) -> Granted:
        issued.used = True
        refresh_token = f"rt_{secrets.token_urlsafe(65)}"
        self._refresh_tokens[refresh_token] = _Issued(issued.family)
        return Granted(issued.family.approval, refresh_token)


def _required(form: Parameters, *names: str) -> list[str]:
    for name in names:
        if name not in form:
            raise refused("invalid_request", f"The parameter {name} is missing.")
    return [form[name] for name in names]


def _fits(verifier: str, challenge: str) -> bool:
    """Whether the verifier is well formed and is what the challenge was made from."""
    return bool(_VERIFIER.fullmatch(verifier)) and hmac.compare_digest(s256(verifier), challenge)


def s256(verifier: str) -> str:
    """Return the code challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
