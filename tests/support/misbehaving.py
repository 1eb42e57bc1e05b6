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
JSON = ("Content-Type", "application/json")


Given = Answer | Callable[[Parameters], Answer | None] | None  # None: as it really is


class AnsweringIssuer(PracticeIssuer):
    """Answers as told where it is told anything, and well elsewhere; may be polled every second."""

    def __init__(self, tokens: Given = None) -> None:
        """`code_changes` are members of a good answer with a one-time code; None leaves one out."""
        super().__init__()
        self.tokens = tokens
        self.polls: Given = None
        self.codes: Given = None
        self.code_changes: dict[str, Any] = {"interval": "1"}

    def token_answer(self, form: Parameters) -> Answer:
        return _told(self.tokens, form) or super().token_answer(form)

    def device_token_answer(self, form: Parameters) -> Answer:
        return _told(self.polls, form) or super().device_token_answer(form)

    def user_code_answer(self, form: Parameters) -> Answer:
        good = super().user_code_answer(form)
        return _told(self.codes, form) or _changed(good, self.code_changes)


def _told(given: Given, form: Parameters) -> Answer | None:
    return given(form) if callable(given) else given


def _changed(answer: Answer, changes: Mapping[str, object]) -> Answer:
    document = json.loads(answer.body) | changes
    return json_answer(200, {k: v for k, v in document.items() if v is not None})


class PartialIssuer(PracticeIssuer):
    """Changes members of an otherwise good token answer; one changed to None is left out."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self._changes = changes

    def token_answer(self, form: Parameters) -> Answer:
        return _changed(super().token_answer(form), self._changes)


class ForgingIssuer(PracticeIssuer):
    """Signs ID tokens in another way."""

    def __init__(self, sign: Callable[[Mapping[str, Any]], str]) -> None:
        super().__init__()
        self._sign = sign

    def sign_id_token(self, claims: Mapping[str, Any]) -> str:
        return self._sign(claims)


class ClaimingIssuer(PracticeIssuer):
    """Claims other things; a claim changed to None is left out."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self._changes = changes

    def id_token_claims(self, approval: Approval, access_token: str, /) -> dict[str, Any]:
        claims = super().id_token_claims(approval, access_token) | self._changes
        return {name: value for name, value in claims.items() if value is not None}


class HangingIssuer(PracticeIssuer):
    """Takes the token request and never answers it."""

    def token_answer(self, form: Parameters) -> Answer:  # noqa: ARG002
        self.stopped.wait(60)
        return text_answer(200, "")


class KeylessIssuer(PracticeIssuer):
    """Publishes no keys, but answers as told in their place."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._given = answer

    def jwks_answer(self) -> Answer:
        return self._given


def signed_by_a_stranger(claims: Mapping[str, Any]) -> str:
    """Sign with a key of one's own, under its own key id."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), key)


def unsigned(claims: Mapping[str, Any]) -> str:
    """Make a token with `alg: none`."""
    key = OctKey.import_key("a key that is long enough")
    header, payload, _ = jwt.encode({"alg": "HS256"}, dict(claims), key).split(".")
    return f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}." if header else ""


def expired() -> ClaimingIssuer:
    """Return an issuer whose ID tokens have expired."""
    now = int(time.time())
    return ClaimingIssuer(iat=now - 7200, exp=now - 3600)
