"""An authorization server that behaves as Codex's does, on loopback and without accounts.

What a test wants to go wrong, it overrides: `token_answer`, `id_token_claims`, `sign_id_token`,
`user_code_answer`, `device_token_answer`, `whoami_answer`, `jwks_answer`, or `answer` for
everything at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from headless_login.practice import tokens
from headless_login.practice.authorization import REDIRECT_PORTS, Consent
from headless_login.practice.device import DeviceCodes
from headless_login.practice.grants import Approval, Granted, Grants
from headless_login.practice.person import Person
from headless_login.practice.wire import (
    Answer,
    LoopbackServer,
    Parameters,
    RecordedRequest,
    Refused,
    json_answer,
    nested,
    refused,
    text_answer,
)

__all__ = ["Answer", "Approval", "Person", "PracticeIssuer", "RecordedRequest"]

PERSONAL_ACCESS_TOKEN = "at-practice-0123456789abcdefghij"  # noqa: S105  # nosec B105  # the only one

_ADA = Person()


class PracticeIssuer:
    """Serves on 127.0.0.1 while it is entered; `port` 0 takes a free one, times are seconds."""

    def __init__(
        self,
        *,
        port: int = 0,
        client_id: str = "app_EMoamEEZ73f0CkXaXp7hrann",
        person: Person = _ADA,
        access_token_lifetime: int = 864000,
        id_token_lifetime: int = 3600,
        redirect_ports: tuple[int, ...] = REDIRECT_PORTS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = f"http://127.0.0.1:{port}"  # true once entered: port 0 is filled in then
        self.client_id = client_id
        self.person = person
        self.requests: list[RecordedRequest] = []
        self.keys = tokens.SigningKeys()
        self.stopped = threading.Event()  # for answers that hang: they end when the issuer does
        self._port = port
        self._access_token_lifetime = access_token_lifetime
        self._id_token_lifetime = id_token_lifetime
        self._now = now
        self._grants = Grants(client_id, now)
        self._good_until: dict[str, float] = {}  # of each access token, in seconds
        self._consent = Consent(person, self._grants, redirect_ports)
        self._devices = DeviceCodes(person, self._grants)

    def __enter__(self) -> Self:
        self._server = LoopbackServer(self._port, self._respond, self._now)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="practice-issuer", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._server.connections

    def answer(self, request: RecordedRequest) -> Answer:
        """Answer any request: 404 for unknown paths, 405 for wrong methods."""
        endpoints: dict[str, dict[str, Callable[[RecordedRequest], Answer]]] = {
            "/oauth/authorize": {"GET": self._consent.ask, "POST": self._consent.decide},
            "/oauth/token": {"POST": self._token},
            "/codex/device": {"GET": self._devices.ask, "POST": self._devices.decide},
            "/api/accounts/deviceauth/usercode": {
                "POST": lambda request: self.user_code_answer(request.form())
            },
            "/api/accounts/deviceauth/token": {
                "POST": lambda request: self.device_token_answer(request.form())
            },
            "/oauth/revoke": {"POST": self._revoke},
            "/.well-known/jwks.json": {"GET": lambda _: self.jwks_answer()},
            "/backend-api/wham/agent-identities/jwks": {"GET": lambda _: self.jwks_answer()},
            "/api/accounts/v1/user-auth-credential/whoami": {"GET": self._whoami},
            "/backend-api/wham/usage": {"GET": self._usage},
            "/.well-known/openid-configuration": {
                "GET": lambda _: json_answer(200, _metadata(self.issuer))
            },
        }
        methods = endpoints.get(request.path)
        if methods is None:
            return text_answer(404, "There is nothing here.")
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            return text_answer(405, "That is the wrong method.", ("Allow", ", ".join(methods)))
        return endpoint(request)

    def token_answer(self, form: Parameters) -> Answer:
        """Answer a token request, given its parameters (RFC 6749 §5)."""
        try:
            return json_answer(200, self._tokens(self._grants.redeem(form)))
        except Refused as refusal:
            return refusal.answer

    def user_code_answer(self, form: Parameters) -> Answer:
        """Answer a request for a one-time code (codex-facts.md §4)."""
        return self._devices.new_user_code(form)

    def device_token_answer(self, form: Parameters) -> Answer:
        """Answer a device that asks whether its person has approved (codex-facts.md §4)."""
        return self._devices.poll(form, f"{self.issuer}/deviceauth/callback")

    def id_token_claims(self, approval: Approval, access_token: str, /) -> dict[str, Any]:
        """Return what the ID token is going to say."""
        claims = tokens.id_token_claims(approval, self.person, access_token)
        return self._issued(self._id_token_lifetime) | claims

    def sign_id_token(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a JWT signed by the newest key."""
        return self.keys.sign(claims)

    def whoami_answer(self) -> Answer:
        """Answer to whom the personal access token belongs (codex-facts.md §11)."""
        person = self.person
        whose = {"chatgpt_user_id": person.user_id, "chatgpt_account_id": person.account_id}
        more = {"chatgpt_plan_type": person.plan, "chatgpt_account_is_fedramp": False}
        return json_answer(200, whose | more | {"email": person.email})

    def usage_answer(self) -> Answer:
        """Answer how much of the plan is used, to an access token that is good."""
        return json_answer(200, {"plan_type": self.person.plan})

    def jwks_answer(self) -> Answer:
        """Answer with the public keys (RFC 7517 §5)."""
        return json_answer(200, self.keys.public())

    def _respond(self, request: RecordedRequest) -> Answer:
        self.requests.append(request)
        try:
            return self.answer(request)
        except Refused as refusal:
            return refusal.answer

    def _tokens(self, granted: Granted) -> dict[str, object]:
        claims = tokens.access_token_claims(granted.approval, self.person)
        access_token = self.keys.sign(self._issued(self._access_token_lifetime) | claims)
        self._good_until[f"Bearer {access_token}"] = self._now() + self._access_token_lifetime
        return {
            "id_token": self.sign_id_token(self.id_token_claims(granted.approval, access_token)),
            "access_token": access_token,
            "refresh_token": granted.refresh_token,
            "expires_in": self._access_token_lifetime,
            "token_type": "Bearer",  # nosec B105
            "scope": granted.approval.request.scope,
        }

    def _issued(self, lifetime: int) -> dict[str, Any]:
        now = int(self._now())
        return {"iss": self.issuer, "iat": now, "exp": now + lifetime}

    def _token(self, request: RecordedRequest) -> Answer:
        form = request.form()
        # RFC 6749 §4.1.3; only the refresh comes as JSON (codex-facts.md §7).
        if request.is_json and form.get("grant_type") == "authorization_code":
            raise refused("invalid_request", "A code is exchanged by a form, not by JSON.")
        return self.token_answer(form)

    def _usage(self, request: RecordedRequest) -> Answer:
        if self._good_until.get(request.headers.get("Authorization", ""), 0) <= self._now():
            return nested(401, "invalid_token", "The access token is unknown, or has ended.")
        return self.usage_answer()

    def _whoami(self, request: RecordedRequest) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {PERSONAL_ACCESS_TOKEN}":
            return nested(401, "invalid_token", "The access token is unknown.")
        return self.whoami_answer()

    def _revoke(self, request: RecordedRequest) -> Answer:
        self._grants.revoke(request.form())
        return json_answer(200, {})


def _metadata(issuer: str) -> dict[str, object]:
    """Return what it publishes of itself (OpenID Connect Discovery §3); the paths are Codex's."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    }
