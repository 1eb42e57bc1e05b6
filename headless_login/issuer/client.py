"""Every HTTP call to the authorization server, and the only place that makes one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.issuer.transport import Body, Transport, read_body
from headless_login.oauth.device import (
    code_parameters,
    disabled,
    lost,
    poll_parameters,
    read_device_code,
    read_poll,
)
from headless_login.oauth.identity import clock_trouble
from headless_login.oauth.provider import (
    Provider,
    agent_identity_keys_address,
    read_metadata,
    well_known_addresses,
)
from headless_login.oauth.token_response import (
    is_json,
    is_success,
    read_document,
    read_metadata_of_token,
    read_refresh_response,
    read_token_response,
    unknown_outcome,
)
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Refreshed, Tokens
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    import requests
    from authlib.integrations.requests_client import OAuth2Session
    from joserfc.jwk import KeySet

EXCHANGE_TIMEOUT = 30.0  # seconds in all, whatever the server drips
DISCOVERY_TIMEOUT = 20.0  # seconds for each address
SIDE_TIMEOUT = 10.0  # seconds in all, for what a sign-in can do without


class IssuerClient:
    """A client of one provider; one session, so that a second request finds a warm connection."""

    def __init__(
        self,
        provider: Provider,
        *,
        environ: Mapping[str, str] = os.environ,
        session: requests.Session | None = None,
    ) -> None:
        """`environ` names proxies and certificates."""
        self.provider = provider
        self._transport = Transport(provider, environ)
        self._session = session or self._transport.new_session()

    @property
    def clock_trouble(self) -> str:
        """What is wrong with this machine's clock, by the issuer's answers; empty if nothing is."""
        return clock_trouble(self._transport.issuer_is_ahead, time.time())

    @classmethod
    def discovered(
        cls, issuer: str, client_id: str, scope: str, *, environ: Mapping[str, str] = os.environ
    ) -> Self:
        """Return a client of another provider than Codex's, whose endpoints the issuer publishes.

        OpenID Connect Discovery §4, RFC 8414 §3.

        Raises:
            IssuerTrouble: it cannot be reached, or publishes nothing usable.
        """
        client = cls(Provider(issuer, client_id, scope), environ=environ)
        for address in well_known_addresses(issuer):
            if document := client._fetch_document(address):
                endpoints = read_metadata(document, issuer)
                client.provider = Provider(issuer, client_id, scope, endpoints)
                return client
        raise IssuerTrouble(
            "token_response_invalid",
            "The issuer publishes no discovery document.",
            "Check --issuer, or leave --client-id out if it is Codex's own kind of server.",
        )

    def _fetch_document(self, address: str) -> Mapping[str, object]:
        def fetch() -> Mapping[str, object]:
            options = self._transport.options(DISCOVERY_TIMEOUT)
            response = self._session.get(address, **options)
            body = read_body(response)
            return read_document(body) if response.status_code == 200 else {}

        return self._transport.run(DISCOVERY_TIMEOUT, fetch)

    def exchange(self, grant: Grant, *, timeout: float = EXCHANGE_TIMEOUT) -> Tokens:
        """Exchange a code for tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.5).

        Raises:
            SignInRefused: `invalid_grant`.
            IssuerTrouble: no usable answer within `timeout` seconds.
        """
        answers: list[Tokens] = []
        statuses: list[int] = []

        def judge(response: requests.Response) -> requests.Response:
            # authlib would take a 403 without "error" for a token: judged before it looks.
            statuses.append(response.status_code)
            body = read_body(response)
            answers.append(
                read_token_response(
                    response.status_code,
                    response.headers,
                    body,
                    refreshable=self.provider.dialect.always_refreshable,
                )
            )
            return response

        session = self._transport.token_session(self._session)
        session.register_compliance_hook("access_token_response", judge)
        trouble: IssuerTrouble | None = None
        try:
            self._transport.run(timeout, lambda: self._fetch_token(session, grant, timeout))
        except IssuerTrouble as error:
            trouble = error
        if answers:
            return answers[0]  # what authlib makes of it afterwards does not count
        if any(map(is_success, statuses)) and (
            trouble is None or trouble.error == "issuer_unreachable"
        ):
            raise lost()  # the code is spent: it must not be sent once more
        raise trouble or lost()

    def _fetch_token(self, session: OAuth2Session, grant: Grant, timeout: float) -> None:
        session.fetch_token(
            self.provider.at.token_endpoint,
            grant_type="authorization_code",
            code=grant.code,
            redirect_uri=grant.redirect_uri,
            code_verifier=grant.verifier,
            headers={
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            **self._transport.options(timeout),
        )

    def refresh(
        self, refresh_token: str, reason: str, *, timeout: float = EXCHANGE_TIMEOUT
    ) -> Refreshed:
        """Spend a refresh token, once (RFC 6749 §6, codex-facts.md §7, §14).

        `reason` is one of Codex's words, as `proactive_expiry` or `forced`.

        Raises:
            RefreshRefused: the issuer takes it never again.
            OutcomeUnknown: it may be used up, and what came for it is lost.
            IssuerTrouble: no usable answer within `timeout` seconds; it was not used.
        """
        parameters = {"client_id": self.provider.client_id, "grant_type": "refresh_token"}
        as_json = self.provider.dialect.json_requests
        if as_json:
            parameters["refresh_reason"] = reason
        body = Body(parameters | {"refresh_token": refresh_token}, as_json=as_json)
        judged: list[Refreshed | HeadlessLoginError] = []
        trouble: IssuerTrouble | None = None
        try:
            self._transport.run(timeout, lambda: self._send_refresh(body, timeout, judged))
        except IssuerTrouble as error:
            trouble = error
        for answer in judged:
            if isinstance(answer, Refreshed):
                return answer
            raise answer
        raise unknown_outcome(trouble) if trouble is None or body.is_sent else trouble

    def _send_refresh(
        self, body: Body, timeout: float, judged: list[Refreshed | HeadlessLoginError]
    ) -> None:
        originator = {"originator": "codex_cli_rs"} if self.provider.dialect.json_requests else {}
        response = self._session.post(
            self.provider.at.token_endpoint,
            data=body,
            headers=body.headers | originator,
            **self._transport.options(timeout),
        )
        content = read_body(response)
        try:
            judged.append(read_refresh_response(response.status_code, response.headers, content))
        except HeadlessLoginError as error:
            judged.append(error.with_traceback(None))  # its frames hold the body

    def request_device_code(self, *, timeout: float = EXCHANGE_TIMEOUT) -> DeviceCode:
        """Ask for a one-time code (codex-facts.md §4, RFC 8628 §3.1).

        Raises:
            SignInRefused: `device_auth_disabled`.
            IssuerTrouble: no usable answer within `timeout` seconds.
        """
        provider = self.provider
        if not provider.at.device_authorization_endpoint:
            raise disabled()

        def ask() -> DeviceCode:
            response = self._post(
                provider.at.device_authorization_endpoint, code_parameters(provider), timeout
            )
            return read_device_code(
                response.status_code,
                response.headers,
                read_body(response),
                provider=provider,
                now=time.time(),
            )

        return self._transport.run(timeout, ask)

    def poll_device_code(
        self, code: DeviceCode, *, timeout: float = EXCHANGE_TIMEOUT
    ) -> Grant | Tokens | AuthorizationPending:
        """Ask once whether the person has approved (codex-facts.md §4, RFC 8628 §3.4).

        Raises:
            SignInRefused: `access_denied`.
            TimedOut: `device_code_expired`.
            IssuerTrouble: `issuer_unreachable` or `tls_error` if asking again makes sense.
        """
        provider = self.provider
        succeeded: list[bool] = []

        def ask() -> Grant | Tokens | AuthorizationPending:
            response = self._post(
                provider.at.device_token_endpoint or provider.at.token_endpoint,
                poll_parameters(provider, code),
                timeout,
            )
            if is_success(response.status_code):
                succeeded.append(True)
            body = read_body(response)
            return read_poll(response.status_code, response.headers, body, provider=provider)

        trouble: IssuerTrouble
        try:
            return self._transport.run(timeout, ask)
        except IssuerTrouble as error:
            trouble = error
        # Whatever broke after a 200: the answer was given, and is not given again.
        raise lost() if succeeded and trouble.error != "token_response_invalid" else trouble

    def _post(self, url: str, parameters: dict[str, str], timeout: float) -> requests.Response:
        """Send parameters in the form that the provider reads: as JSON or as a form."""
        as_json = self.provider.dialect.json_requests
        response: requests.Response = self._session.post(
            url,
            json=parameters if as_json else None,
            data=None if as_json else parameters,
            headers={"Accept": "application/json"},
            **self._transport.options(timeout),
        )
        return response

    def signing_keys(self, *, timeout: float = SIDE_TIMEOUT) -> KeySet | None:
        """Return the issuer's published keys, or None where they cannot be had.

        They are asked for once the token answer is there, on its connection: one round trip. Side
        by side would take a second connection, which costs two with TLS, and a thread.
        """
        return self._fetch_keys(self.provider.at.jwks_uri, timeout)

    def _fetch_keys(self, address: str, timeout: float) -> KeySet | None:
        def fetch() -> KeySet | None:
            response = self._session.get(address, **self._transport.options(timeout))
            body = read_body(response)
            if response.status_code != 200 or not is_json(body):
                return None
            from headless_login.oauth.id_token import usable_keys

            keys = read_document(body).get("keys")
            return usable_keys(keys if isinstance(keys, list) else ())

        try:
            return self._transport.run(timeout, fetch)
        except IssuerTrouble:
            return None

    def personal_access_token_metadata(
        self, token: str, *, timeout: float = EXCHANGE_TIMEOUT
    ) -> Mapping[str, object]:
        """Return whose a personal access token is, as Codex asks for it (codex-facts.md §11).

        Raises:
            SignInRefused: `access_denied`; it is not accepted.
            IssuerTrouble: no usable answer within `timeout` seconds.
        """

        def ask() -> Mapping[str, object]:
            response = self._session.get(
                self.provider.below("/api/accounts/v1/user-auth-credential/whoami"),
                headers={
                    "Accept": "*/*",
                    "Authorization": f"Bearer {token}",
                    "originator": "codex_cli_rs",
                },
                **self._transport.options(timeout),
            )
            return read_metadata_of_token(
                response.status_code, response.headers, read_body(response)
            )

        return self._transport.run(timeout, ask)

    def ask(
        self, address: str, access_token: str | None = None, account_id: str | None = None
    ) -> tuple[int, Mapping[str, str]]:
        """Return status and headers of what an address answers, as `doctor` wants to know.

        With an access token, as Codex sends it; it goes nowhere but to `address`.

        Raises:
            IssuerTrouble: it cannot be reached within `SIDE_TIMEOUT`.
        """
        headers = {"Accept": "*/*"}
        if access_token:
            headers["Authorization"] = f"Bearer {access_token}"
        if account_id:
            headers["ChatGPT-Account-Id"] = account_id

        def get() -> tuple[int, Mapping[str, str]]:
            options = self._transport.options(SIDE_TIMEOUT)
            response = self._session.get(address, headers=headers, **options)
            response.close()
            return response.status_code, response.headers

        return self._transport.run(SIDE_TIMEOUT, get)

    @property
    def issuer_is_ahead(self) -> float:
        """By how many seconds the clock of who answered last is ahead of ours."""
        return self._transport.issuer_is_ahead

    def agent_identity_keys(self, *, timeout: float = EXCHANGE_TIMEOUT) -> KeySet:
        """Return the keys that agent identities are signed with (codex-facts.md §11).

        Raises:
            IssuerTrouble: `issuer_unreachable`; they cannot be had.
        """
        keys = self._fetch_keys(agent_identity_keys_address(self.provider), timeout)
        if keys is None:
            raise IssuerTrouble(
                "issuer_unreachable",
                "The keys that agent identities are signed with cannot be fetched.",
                "Check the network and HTTPS_PROXY, then run it again.",
            )
        return keys

    def revoke(self, refresh_token: str, *, timeout: float = SIDE_TIMEOUT) -> bool:
        """Ask the issuer to revoke a refresh token, best effort (codex-facts.md §7)."""

        def ask() -> bool:
            response = self._post(
                self.provider.at.revocation_endpoint,
                {
                    "token": refresh_token,
                    "token_type_hint": "refresh_token",  # nosec B105
                    "client_id": self.provider.client_id,
                },
                timeout,
            )
            return is_success(response.status_code)  # `ok` counts a redirect, too

        try:
            return self._transport.run(timeout, ask)
        except IssuerTrouble:
            return False
