"""Every HTTP call to the authorization server, and the only place that makes one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from headless_login.errors import IssuerTrouble
from headless_login.issuer.transport import Transport, new_session, read_body
from headless_login.oauth.device import Pending, disabled, lost, read_device_code, read_poll
from headless_login.oauth.provider import Endpoints, Provider, read_metadata, well_known_addresses
from headless_login.oauth.token_response import read_document, read_token_response
from headless_login.oauth.values import DeviceCode, Grant, Tokens

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
            answers.append(
                read_token_response(
                    response.status_code,
                    response.headers,
                    body,
                    refreshable=self._provider.is_codex,
                )
            )
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

    def request_device_code(self, *, timeout: float = EXCHANGE_TIMEOUT) -> DeviceCode:
        """Ask for a one-time code (codex-facts.md §4, RFC 8628 §3.1).

        Raises:
            SignInRefused: `device_auth_disabled`.
            IssuerTrouble: no usable answer within `timeout` seconds.
        """

        if not self._provider.device_authorization_endpoint:
            raise disabled()

        def ask() -> DeviceCode:
            parameters = {"client_id": self._provider.client_id}
            if not self._provider.is_codex:
                parameters["scope"] = self._provider.scope
            response = self._post(self._provider.device_authorization_endpoint, parameters, timeout)
            return read_device_code(
                response.status_code,
                response.headers,
                read_body(response),
                provider=self._provider,
                now=time.time(),
            )

        return self._transport.run(timeout, ask)

    def poll_device_code(
        self, code: DeviceCode, *, timeout: float = EXCHANGE_TIMEOUT
    ) -> Grant | Tokens | Pending:
        """Ask once whether the person has approved (codex-facts.md §4, RFC 8628 §3.4).

        Raises:
            SignInRefused: `access_denied`.
            TimedOut: `device_code_expired`.
            IssuerTrouble: `issuer_unreachable` or `tls_error` if asking again makes sense.
        """
        succeeded: list[bool] = []

        parameters = {"device_auth_id": code.device_code, "user_code": code.user_code}
        if not self._provider.is_codex:
            parameters = {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "device_code": code.device_code,
                "client_id": self._provider.client_id,
            }

        def ask() -> Grant | Tokens | Pending:
            response = self._post(self._provider.device_token_endpoint, parameters, timeout)
            if response.status_code == 200:
                succeeded.append(True)
            body = read_body(response)
            return read_poll(response.status_code, response.headers, body, provider=self._provider)

        trouble: IssuerTrouble
        try:
            return self._transport.run(timeout, ask)
        except IssuerTrouble as error:
            trouble = error
        # Whatever broke after a 200: the answer was given, and is not given again.
        raise lost() if succeeded and trouble.error != "token_response_invalid" else trouble

    def _post(self, url: str, parameters: dict[str, str], timeout: float) -> requests.Response:
        """Send parameters as JSON, as Codex does, or to any other issuer as a form."""
        response: requests.Response = self._session.post(
            url,
            json=parameters if self._provider.is_codex else None,
            data=None if self._provider.is_codex else parameters,
            headers={"Accept": "application/json"},
            withhold_token=True,
            **self._transport.options(timeout),
        )
        return response

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
            response = self._post(
                self._provider.revocation_endpoint,
                {
                    "token": refresh_token,
                    "token_type_hint": "refresh_token",
                    "client_id": self._provider.client_id,
                },
                timeout,
            )
            return bool(response.ok)

        try:
            return self._transport.run(timeout, ask)
        except IssuerTrouble:
            return False


_TIMEOUT = 20.0  # seconds for each address


def discover(issuer: str, *, environ: Mapping[str, str] = os.environ) -> Endpoints:
    """Return the endpoints that the issuer publishes (OpenID Connect Discovery §4, RFC 8414 §3).

    Raises:
        IssuerTrouble: it cannot be reached, or publishes nothing usable.
    """
    provider = Provider(issuer)
    transport, session = Transport(provider, environ), new_session(provider)

    def fetch(address: str) -> Mapping[str, object]:
        response = session.get(address, withhold_token=True, **transport.options(_TIMEOUT))
        body = read_body(response)
        return read_document(body) if response.status_code == 200 else {}

    for address in well_known_addresses(issuer):
        if document := transport.run(_TIMEOUT, partial(fetch, address)):
            return read_metadata(document, issuer)
    raise IssuerTrouble(
        "token_response_invalid",
        "The issuer publishes no discovery document.",
        "Check --issuer, or leave --client-id out if it is Codex's own kind of server.",
    )
