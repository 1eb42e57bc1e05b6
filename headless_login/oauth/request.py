"""The authorization request with its state and PKCE verifier; it judges its own answer."""

from __future__ import annotations

import binascii
import os

from headless_login.oauth.provider import CALLBACK_PATH, LOOPBACK_PORTS, Provider
from headless_login.oauth.values import Grant
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from headless_login.oauth.decodings import Pasted


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2); binascii, because base64 imports re."""
    return binascii.b2a_base64(data, newline=False).decode().translate(_URL_SAFE).rstrip("=")


_URL_SAFE = str.maketrans("+/", "-_")


def new_verifier() -> str:
    """Return 64 random bytes in base64url, 86 characters, as Codex does (RFC 7636 §4.1)."""
    return base64url(os.urandom(64))


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 §4.2)."""
    from hashlib import sha256

    return base64url(sha256(verifier.encode("ascii")).digest())


def new_state() -> str:
    """Return 128 random bits in base64url, 22 characters.

    RFC 6749 §10.10 asks that guessing succeed with a chance of at most 2^-128, and an attempt
    lives minutes; the 21 characters that Codex's 256 bits would add cost the QR code a version.
    """
    return base64url(os.urandom(16))


def redirect_uri_for(port: int) -> str:
    """Return the redirect URI that Codex 0.160 and later send for a port (codex-facts.md §1)."""
    return f"http://127.0.0.1:{port}{CALLBACK_PATH}"


class _RequestFields(NamedTuple):
    provider: Provider
    redirect_uri: str
    allowed_workspace_ids: tuple[str, ...]
    state: str
    verifier: str


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def urlencoded(parameters: Mapping[str, str]) -> str:
    """Return a query as urllib.parse.urlencode does, which takes a bare start to be loaded."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in parameters.items())


def _quoted(text: str) -> str:
    letters = (chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in text.encode())
    return "".join(letters).replace("%20", "+")


class AuthorizationRequest(_RequestFields):
    """State, verifier and redirect URI of one attempt, never used for a second one."""

    __slots__ = ()

    def __new__(
        cls,
        provider: Provider,
        redirect_uri: str = redirect_uri_for(LOOPBACK_PORTS[0]),
        allowed_workspace_ids: tuple[str, ...] = (),
        state: str = "",
        verifier: str = "",
    ) -> Self:
        """Without `state` and `verifier`, as for every new attempt, they are random ones."""
        return super().__new__(
            cls,
            provider,
            redirect_uri,
            allowed_workspace_ids,
            state or new_state(),
            verifier or new_verifier(),
        )

    def __repr__(self) -> str:
        """Show no secret."""
        return f"AuthorizationRequest({self.provider!r}, {self.redirect_uri!r})"

    @property
    def url(self) -> str:
        """The address to open: exactly Codex's parameters, blanks as `+` (codex-facts.md §2)."""
        parameters = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "state": self.state,
            "scope": self.provider.scope,
        }
        dialect = self.provider.dialect
        parameters |= dialect.authorization_parameters
        if dialect.takes_workspace_ids and self.allowed_workspace_ids:
            parameters["allowed_workspace_id"] = ",".join(self.allowed_workspace_ids)
        return f"{self.provider.at.authorization_endpoint}?{urlencoded(parameters)}"

    def accept(self, answer: str | Pasted) -> Grant:
        """Judge a pasted answer, in any of the forms that people paste.

        Raises:
            RejectedAnswer: the text is not this attempt's answer; another one may be pasted.
            SignInRefused: it is, and the issuer or the person refused.
        """
        from headless_login.oauth.answers import read_pasted
        from headless_login.oauth.decodings import Pasted
        from headless_login.oauth.naming import Expected

        pasted = Pasted(answer) if isinstance(answer, str) else answer
        expected = Expected(
            self.redirect_uri,
            self.provider.at.authorization_endpoint,
            self.state,
            self.provider.issuer,
        )
        return self._judged(read_pasted(pasted, expected))

    def accept_query(self, query: str) -> Grant:
        """Judge the query of a request that reached the redirect URI; raises as `accept`."""
        from headless_login.oauth.redirect import parse_query

        return self._judged(parse_query(query))

    def _judged(self, parameters: dict[str, str]) -> Grant:
        from headless_login.oauth.redirect import judge

        code = judge(
            parameters,
            state=self.state,
            issuer=self.provider.issuer,
            requires_iss=self.provider.requires_iss,
        )
        return Grant(code=code, verifier=self.verifier, redirect_uri=self.redirect_uri)
