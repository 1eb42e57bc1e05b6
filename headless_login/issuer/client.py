"""Every HTTP call to the authorization server, and the only place that makes one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from headless_login.errors import IssuerTrouble
from headless_login.issuer.transport import Transport, new_session, read_body
from headless_login.oauth.provider import Provider
from headless_login.oauth.token_response import read_token_response
from headless_login.oauth.values import Grant, Tokens

if TYPE_CHECKING:
    import requests
    from authlib.integrations.requests_client import OAuth2Session

EXCHANGE_TIMEOUT = 30.0  # seconds in all, whatever the server drips
SIDE_TIMEOUT = 10.0  # seconds in all, for what a sign-in can do without


class IssuerClient:
    """A client of one provider; one session, so that a second request finds a warm connection."""

    def __init__(
        self,
        provider: Provider,
        *,
        environ: Mapping[str, str] = os.environ,
        session: OAuth2Session | None = None,
    ) -> None:
        """Take the provider, and the environment that names proxies and certificates."""
        self._provider = provider
        self._transport = Transport(provider, environ)
        self._session = session or new_session(provider)

    def exchange(self, grant: Grant, *, timeout: float = EXCHANGE_TIMEOUT) -> Tokens:
        """Exchange a code for tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.5).

        Raises:
            SignInRefused: `invalid_grant`.
            IssuerTrouble: no usable answer within `timeout` seconds.
        """
        answers: list[Tokens] = []

        def judge(response: requests.Response) -> requests.Response:
            # authlib would take a 403 without "error" for a token: judged before it looks.
            body = read_body(response)
            answers.append(read_token_response(response.status_code, response.headers, body))
            return response

        self._session.register_compliance_hook("access_token_response", judge)
        self._transport.run(
            timeout,
            lambda: self._session.fetch_token(
                self._provider.token_endpoint,
                grant_type="authorization_code",
                code=grant.code,
                redirect_uri=grant.redirect_uri,
                code_verifier=grant.verifier,
                headers={
                    "Accept": "application/json",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
                **self._transport.options(timeout),
            ),
        )
        return answers[-1]

    def signing_keys(self, *, timeout: float = SIDE_TIMEOUT) -> KeySet | None:
        """Return the issuer's published keys, or None where they cannot be had."""

        def fetch() -> KeySet | None:
            response = self._session.get(
                self._provider.jwks_uri, withhold_token=True, **self._transport.options(timeout)
            )
            body = read_body(response)
            if response.status_code != 200:
                return None
            document = response.json() if body else None
            keys = document.get("keys") if isinstance(document, dict) else None
            return KeySet.import_key_set({"keys": keys}) if isinstance(keys, list) else None

        try:
            return self._transport.run(timeout, fetch)
        except (IssuerTrouble, JoseError, ValueError, TypeError, KeyError):
            return None

    def revoke(self, refresh_token: str, *, timeout: float = SIDE_TIMEOUT) -> bool:
        """Ask the issuer to revoke a refresh token, best effort (codex-facts.md §7)."""

        def ask() -> bool:
            response = self._session.post(
                self._provider.revocation_endpoint,
                json={
                    "token": refresh_token,
                    "token_type_hint": "refresh_token",
                    "client_id": self._provider.client_id,
                },
                withhold_token=True,
                **self._transport.options(timeout),
            )
            return bool(response.ok)

        try:
            return self._transport.run(timeout, ask)
        except IssuerTrouble:
            return False
