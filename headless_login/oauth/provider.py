"""The authorization server and what Codex sends to it (codex-facts.md §1, §2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from headless_login.errors import WrongUsage

CODEX_ISSUER = "https://auth.openai.com"
CODEX_CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
CODEX_SCOPE = "openid profile email offline_access api.connectors.read api.connectors.invoke"

# The only ports for which redirect URIs are registered, in the order Codex tries them.
LOOPBACK_PORTS = (1455, 1457)
CALLBACK_PATH = "/auth/callback"

_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?:/[^?#@\s]*)?")
_HTTPS = re.compile(r"https://[A-Za-z0-9.\-]+(?::\d{1,5})?(?:/[^?#@\s]*)?")


@dataclass(frozen=True, slots=True)
class Provider:
    """An authorization server as Codex's client sees it."""

    issuer: str = CODEX_ISSUER
    client_id: str = CODEX_CLIENT_ID
    scope: str = CODEX_SCOPE

    def __post_init__(self) -> None:
        """Refuse (WrongUsage) an issuer to which a code could not be sent safely."""
        if not (self.on_loopback or _HTTPS.fullmatch(self.issuer)):
            raise WrongUsage(
                "The issuer has to be an https:// address without query and user name.",
                "http:// is allowed on this machine itself only: http://127.0.0.1:PORT",
            )

    @property
    def on_loopback(self) -> bool:
        """Whether the issuer runs on this machine, where no proxy is asked and no TLS needed."""
        return _LOOPBACK.fullmatch(self.issuer) is not None

    @property
    def _base(self) -> str:
        # `iss` is compared with the issuer as it was given (RFC 9207 §2.4); paths are not.
        return self.issuer.rstrip("/")

    @property
    def authorization_endpoint(self) -> str:
        """Where the person approves (RFC 6749 §3.1)."""
        return f"{self._base}/oauth/authorize"

    @property
    def token_endpoint(self) -> str:
        """Where a code becomes tokens (RFC 6749 §3.2)."""
        return f"{self._base}/oauth/token"

    @property
    def revocation_endpoint(self) -> str:
        """Where a refresh token is given back (codex-facts.md §7)."""
        return f"{self._base}/oauth/revoke"

    @property
    def device_authorization_endpoint(self) -> str:
        """Where a one-time code is asked for: Codex's own, not RFC 8628's (codex-facts.md §4)."""
        return f"{self._base}/api/accounts/deviceauth/usercode"

    @property
    def device_token_endpoint(self) -> str:
        """Where one asks whether the person has approved (codex-facts.md §4)."""
        return f"{self._base}/api/accounts/deviceauth/token"

    @property
    def verification_uri(self) -> str:
        """The page on which the person types the one-time code."""
        return f"{self._base}/codex/device"

    @property
    def device_redirect_uri(self) -> str:
        """The redirect URI that goes with a code from the device token endpoint."""
        return f"{self._base}/deviceauth/callback"

    @property
    def jwks_uri(self) -> str:
        """Where the keys that sign ID tokens are published (OpenID Connect Discovery §3)."""
        return f"{self._base}/.well-known/jwks.json"


CODEX = Provider()
