"""The authorization server, what Codex sends to it, and what the server publishes of itself.

codex-facts.md §1, §2; OpenID Connect Discovery §3; RFC 8414 §2.
"""

from __future__ import annotations

from collections.abc import Mapping

from headless_login.errors import IssuerTrouble, WrongUsage
from headless_login.oauth.text import printable
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

CODEX_ISSUER = "https://auth.openai.com"
CODEX_CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
CODEX_SCOPE = "openid profile email offline_access api.connectors.read api.connectors.invoke"
OPENID_SCOPE = "openid profile email offline_access"

# The only ports for which redirect URIs are registered, in the order Codex tries them.
LOOPBACK_PORTS = (1455, 1457)
CALLBACK_PATH = "/auth/callback"

_PATH = r"(?:/[A-Za-z0-9._~%!$&'()*+,;=:/\-]*)?"  # RFC 3986 §3.3, without the @ of a user name
_LOOPBACK = rf"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{{1,5}})?{_PATH}"
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HTTPS = rf"https://[A-Za-z0-9.\-]+(?::[0-9]{{1,5}})?{_PATH}"


def is_safe(address: str) -> bool:
    """Return whether a code or a token may be sent there: by TLS, or on this machine itself."""
    if address == CODEX_ISSUER:  # as a rule: without an expression to be compiled
        return True
    import re

    return bool(re.fullmatch(_LOOPBACK, address) or re.fullmatch(_HTTPS, address))


class Endpoints(NamedTuple):
    """Where an authorization server has its endpoints; an empty text is one that it lacks."""

    authorization_endpoint: str  # RFC 6749 §3.1
    token_endpoint: str  # RFC 6749 §3.2
    jwks_uri: str  # OpenID Connect Discovery §3
    revocation_endpoint: str = ""  # RFC 7009, codex-facts.md §7
    device_authorization_endpoint: str = ""  # RFC 8628 §3.1, codex-facts.md §4
    device_token_endpoint: str = ""  # where it is not the token endpoint (codex-facts.md §4)
    iss_in_response: bool = False  # RFC 9207 §3: then an answer without `iss` is not its own


class Dialect(NamedTuple):
    """What differs between Codex's server and any other OpenID provider (codex-facts.md §2 to §5).

    `verification_path` and `redirect_path` are below the issuer; without them the answers of the
    device endpoints say where (RFC 8628 §3.2), and a poll brings the tokens themselves (§3.5).
    """

    authorization_parameters: Mapping[str, str] = {}
    takes_workspace_ids: bool = False  # allowed_workspace_id
    json_requests: bool = False  # to the device and revocation endpoints; else a form
    verification_path: str = ""
    redirect_path: str = ""
    device_code_name: str = "device_code"
    device_grant_type: str = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 §3.4
    pending_statuses: tuple[int, ...] = ()  # mean `authorization_pending`, in whatever words
    always_refreshable: bool = False  # a token answer without a refresh token is not usable


OPENID_DIALECT = Dialect()
CODEX_DIALECT = Dialect(
    authorization_parameters={
        "id_token_add_organizations": "true",  # nosec B105
        "codex_cli_simplified_flow": "true",
        "originator": "codex_cli_rs",
    },
    takes_workspace_ids=True,
    json_requests=True,
    verification_path="/codex/device",
    redirect_path="/deviceauth/callback",
    device_code_name="device_auth_id",
    device_grant_type="",
    pending_statuses=(403, 404),
    always_refreshable=True,
)


class _ProviderFields(NamedTuple):
    issuer: str
    client_id: str
    scope: str
    endpoints: Endpoints | None


class Provider(_ProviderFields):
    """An authorization server and its client: Codex's, or with `endpoints` any other."""

    __slots__ = ()

    def __new__(
        cls,
        issuer: str = CODEX_ISSUER,
        client_id: str = CODEX_CLIENT_ID,
        scope: str = CODEX_SCOPE,
        endpoints: Endpoints | None = None,
    ) -> Self:
        """Refuse (WrongUsage) an issuer to which a code could not be sent safely.

        And a client id or scope that cannot be one (RFC 6749 §A.1, §A.4).
        """
        if not is_safe(issuer):
            raise WrongUsage(
                "The issuer has to be an https:// address without query and user name.",
                "http:// is allowed on this machine itself only: http://127.0.0.1:PORT",
            )
        if not (f"{client_id}{scope}".isascii() and f"{client_id}{scope}".isprintable()):
            raise WrongUsage("Client id and scope have to be printable ASCII, on one line.")
        return super().__new__(cls, issuer, client_id, scope, endpoints)

    @property
    def dialect(self) -> Dialect:
        """Codex's own parameters, paths and claims, or those of OpenID Connect and RFC 8628."""
        return CODEX_DIALECT if self.endpoints is None else OPENID_DIALECT

    @property
    def host(self) -> str:
        """Its host, with the port if one is given."""
        return self.issuer.partition("://")[2].partition("/")[0]

    @property
    def on_this_machine(self) -> bool:
        """Whether its name is one of this machine's own, by TLS or not."""
        return self.host.rpartition(":")[0] in _OWN_NAMES or self.host in _OWN_NAMES

    @property
    def on_loopback(self) -> bool:
        """Whether the issuer runs on this machine, where no proxy is asked and no TLS needed."""
        return self.issuer.startswith("http://")  # which is safe nowhere else

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own server."""
        return self.issuer.rstrip("/") == CODEX_ISSUER

    @property
    def requires_iss(self) -> bool:
        """Whether every authorization response names its issuer (RFC 9207 §2.4)."""
        return self.endpoints is not None and self.endpoints.iss_in_response

    @property
    def at(self) -> Endpoints:
        """Where its endpoints are: published ones, or those that Codex uses."""
        return self.endpoints or codex_endpoints(self.issuer)

    def below(self, path: str) -> str:
        """Return an address at the issuer."""
        return f"{self.issuer.rstrip('/')}{path}"


def codex_endpoints(issuer: str) -> Endpoints:
    """Return the endpoints that Codex uses at an issuer (codex-facts.md §1, §4)."""
    # `iss` is compared with the issuer as it was given (RFC 9207 §2.4); paths are not.
    base = issuer.rstrip("/")
    return Endpoints(
        authorization_endpoint=f"{base}/oauth/authorize",
        token_endpoint=f"{base}/oauth/token",
        jwks_uri=f"{base}/.well-known/jwks.json",
        revocation_endpoint=f"{base}/oauth/revoke",
        device_authorization_endpoint=f"{base}/api/accounts/deviceauth/usercode",
        device_token_endpoint=f"{base}/api/accounts/deviceauth/token",
    )


CODEX = Provider()


def agent_identity_keys_address(provider: Provider) -> str:
    """Return where the keys of agent identities are: at OpenAI on ChatGPT's host (§11)."""
    path = "/backend-api/wham/agent-identities/jwks"
    return f"https://chatgpt.com{path}" if provider.is_openai else provider.below(path)


def usage_address(provider: Provider) -> str:
    """Return what Codex asks for how much of a plan is used: an access token is good if it answers.

    At OpenAI it is on ChatGPT's host; GET, and nothing is changed by it (0.169.0).
    """
    path = "/backend-api/wham/usage"
    return f"https://chatgpt.com{path}" if provider.is_openai else provider.below(path)


def well_known_addresses(issuer: str) -> list[str]:
    """Return where the document may lie: OpenID Connect's place, then RFC 8414's (§3.1)."""
    scheme, _, rest = issuer.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return [
        f"{scheme}://{rest}/.well-known/openid-configuration",
        f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}",
    ]


def read_metadata(document: Mapping[str, object], issuer: str) -> Endpoints:
    """Return the endpoints in a discovery document.

    Raises:
        IssuerTrouble: `token_response_invalid`; it is another issuer's, or lacks what is needed.
    """
    if document.get("issuer") != issuer:
        raise _unusable("it belongs to another issuer")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise _unusable("it does not support PKCE with S256 (RFC 7636)")
    return Endpoints(
        authorization_endpoint=_address(document, "authorization_endpoint"),
        token_endpoint=_address(document, "token_endpoint"),
        jwks_uri=_address(document, "jwks_uri"),
        revocation_endpoint=_optional(document, "revocation_endpoint"),
        device_authorization_endpoint=_optional(document, "device_authorization_endpoint"),
        iss_in_response=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: Mapping[str, object], name: str) -> str:
    if address := _optional(document, name):
        return address
    raise _unusable(f"it lacks {name}")


def _optional(document: Mapping[str, object], name: str) -> str:
    """Return an address to which secrets may be sent, or nothing if none is given."""
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_safe(value):
        raise _unusable(f"its {name} is no https:// address")
    return value


def _unusable(why: str) -> IssuerTrouble:
    return IssuerTrouble(
        "token_response_invalid",
        f"The issuer's discovery document is not usable: {printable(why)}.",
        "Check --issuer; it has to be the very text that the issuer calls itself.",
    )
