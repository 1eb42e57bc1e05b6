"""Issuers that misbehave on demand: each takes the practice issuer and spoils one thing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from headless_login.practice.issuer import Answer, Approval, PracticeIssuer
from headless_login.practice.wire import Parameters, json_answer, text_answer

HTML = b"<!DOCTYPE html><html><title>Just a moment...</title><body>MARKED-SECRET</body></html>"
Given = Answer | Callable[[Parameters], Answer | None] | None  # None: as it really is


class AnsweringIssuer(PracticeIssuer):
    """Answers as told where it is told anything, and well elsewhere; may be polled every second."""

    def __init__(
        self,
        tokens: Given = None,
        *,
        keys: Answer | None = None,
        sign: Callable[[Mapping[str, Any]], str] | None = None,
        claims: Mapping[str, object] | None = None,
    ) -> None:
        """`claims` are the ID token's, `code_changes` those of a code; None leaves one out."""
        super().__init__()
        self.tokens = tokens
        self.polls: Given = None
        self.codes: Given = None
        self.code_changes: dict[str, Any] = {"interval": "1"}
        self._keys, self._sign, self._claims = keys, sign, claims or {}

    def id_token_claims(self, approval: Approval, access_token: str, /) -> dict[str, Any]:
        return _without_none(super().id_token_claims(approval, access_token) | {**self._claims})

    def sign_id_token(self, claims: Mapping[str, Any]) -> str:
        return self._sign(claims) if self._sign else super().sign_id_token(claims)

    def jwks_answer(self) -> Answer:
        return self._keys or super().jwks_answer()

    def token_answer(self, form: Parameters) -> Answer:
        return _told(self.tokens, form) or super().token_answer(form)

    def device_token_answer(self, form: Parameters) -> Answer:
        return _told(self.polls, form) or super().device_token_answer(form)

    def user_code_answer(self, form: Parameters) -> Answer:
        good = super().user_code_answer(form)
        changed = _without_none(json.loads(good.body) | self.code_changes)
        return _told(self.codes, form) or json_answer(200, changed)


def _told(given: Given, form: Parameters) -> Answer | None:
    return given(form) if callable(given) else given


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


class HangingIssuer(PracticeIssuer):
    """Takes the token request and never answers it."""

    def token_answer(self, form: Parameters) -> Answer:  # noqa: ARG002
        self.stopped.wait(60)
        return text_answer(200, "")


def signed_by_a_stranger(claims: Mapping[str, Any]) -> str:
    """Sign with a key of one's own, under its own key id."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), key)


def unsigned(claims: Mapping[str, Any]) -> str:
    """Make a token with `alg: none`."""
    key = OctKey.import_key("a key that is long enough")
    header, payload, _ = jwt.encode({"alg": "HS256"}, dict(claims), key).split(".")
    return f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}." if header else ""


def expired() -> AnsweringIssuer:
    """Return an issuer whose ID tokens have expired."""
    now = int(time.time())
    return AnsweringIssuer(claims={"iat": now - 7200, "exp": now - 3600})
