"""What an authorization server says of itself (OpenID Connect Discovery §3, RFC 8414 §2)."""

from __future__ import annotations

from collections.abc import Mapping

from headless_login.errors import IssuerTrouble
from headless_login.oauth.printable import printable
from headless_login.oauth.provider import Endpoints, is_safe


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
