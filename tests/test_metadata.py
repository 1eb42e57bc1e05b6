"""Discovery documents: what is taken from them, and what is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
import responses

from headless_login.errors import IssuerTrouble
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import (
    OPENID_SCOPE,
    Endpoints,
    Provider,
    read_metadata,
    well_known_addresses,
)
from headless_login.oauth.request import AuthorizationRequest

ISSUER = "https://issuer.example"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}
PARAMETERS = {"response_type", "client_id", "redirect_uri", "state", "scope"}
PARAMETERS |= {"code_challenge", "code_challenge_method"}
# Without a device endpoint there are no device codes, whatever others have.
ENDPOINTS = Endpoints(f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/jwks")


def test_the_places_where_it_may_lie() -> None:
    """OpenID Connect appends its path, RFC 8414 puts its own before the issuer's."""
    assert well_known_addresses(f"{ISSUER}/tenant/") == [
        f"{ISSUER}/tenant/.well-known/openid-configuration",
        f"{ISSUER}/.well-known/oauth-authorization-server/tenant",
    ]
    assert well_known_addresses(ISSUER)[1] == f"{ISSUER}/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": None}, "lacks token_endpoint"),
        ({"jwks_uri": None}, "lacks jwks_uri"),
        ({"token_endpoint": "http://issuer.example/token"}, "is no https:// address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "is no https:// address"),
        ({"token_endpoint": 5}, "is no https:// address"),
        ({"device_authorization_endpoint": "ftp://x"}, "is no https:// address"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE with S256"),
    ],
)
def test_what_is_unusable_is_named(changes: dict[str, Any], phrase: str) -> None:
    """A code must not be sent to a place that the issuer does not vouch for, or in the clear."""
    document = {k: v for k, v in (DOCUMENT | changes).items() if v is not None}
    with pytest.raises(IssuerTrouble) as caught:
        read_metadata(document, ISSUER)
    assert caught.value.exit_code == 4
    assert phrase in caught.value.message


@responses.activate
def test_both_places_are_looked_at() -> None:
    """An OAuth server without OpenID Connect publishes at RFC 8414's; one with neither is named."""
    openid, oauth = well_known_addresses(ISSUER)
    responses.get(openid, status=404, json={})
    published = responses.get(oauth, json=DOCUMENT)
    client = IssuerClient.discovered(ISSUER, "mine", OPENID_SCOPE, environ={})
    assert client.provider == Provider(ISSUER, "mine", OPENID_SCOPE, ENDPOINTS)
    responses.remove(published)
    responses.get(oauth, status=404, json={})
    with pytest.raises(IssuerTrouble, match="publishes no discovery document"):
        IssuerClient.discovered(ISSUER, "mine", OPENID_SCOPE, environ={})


def test_another_client_gets_none_of_codexs_parameters() -> None:
    """Its own identifier and scope go to its own endpoint, and nothing besides."""
    provider = Provider(ISSUER, "mine", OPENID_SCOPE, ENDPOINTS)
    url = AuthorizationRequest(provider, allowed_workspace_ids=("w",)).url
    assert url.startswith(f"{ISSUER}/auth?response_type=code&client_id=mine&")
    sent = parse_qs(url.partition("?")[2])
    assert sent.keys() == PARAMETERS
    assert sent["scope"] == ["openid profile email offline_access"]
