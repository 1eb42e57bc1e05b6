"""Discovery documents: what is taken from them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

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
from headless_login.practice.issuer import Answer, PracticeIssuer, RecordedRequest
from headless_login.practice.wire import json_answer

ISSUER = "https://issuer.example"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


def test_the_places_where_it_may_lie() -> None:
    """OpenID Connect appends its path, RFC 8414 puts its own before the issuer's."""
    assert well_known_addresses(f"{ISSUER}/tenant/") == [
        f"{ISSUER}/tenant/.well-known/openid-configuration",
        f"{ISSUER}/.well-known/oauth-authorization-server/tenant",
    ]
    assert well_known_addresses(ISSUER)[1] == f"{ISSUER}/.well-known/oauth-authorization-server"


def test_what_is_not_published_is_not_guessed() -> None:
    """Without a device endpoint there are no device codes, whatever others have."""
    found = read_metadata(DOCUMENT, ISSUER)
    assert found == Endpoints(f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/jwks")


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


class MovedIssuer(PracticeIssuer):
    """Publishes at RFC 8414's place only, or nothing at all."""

    path = "/.well-known/oauth-authorization-server"

    def answer(self, request: RecordedRequest) -> Answer:
        """Answer there with the practice issuer's document."""
        if request.path == self.path:
            document = DOCUMENT | {"issuer": self.issuer}
            return json_answer(200, document)
        if request.path.startswith("/.well-known/"):
            return json_answer(404, {})
        return super().answer(request)


def _discover(issuer: PracticeIssuer) -> Provider:
    return IssuerClient.discovered(issuer.issuer, "mine", OPENID_SCOPE, environ={}).provider


def test_rfc_8414s_place_is_looked_at_as_well() -> None:
    """An OAuth server without OpenID Connect publishes there."""
    with MovedIssuer() as issuer:
        assert _discover(issuer).at.token_endpoint == f"{ISSUER}/token"
        issuer.path = "/nowhere"
        with pytest.raises(IssuerTrouble, match="publishes no discovery document"):
            _discover(issuer)


def test_another_client_gets_none_of_codexs_parameters() -> None:
    """Its own identifier and scope at its own endpoint, and nothing besides."""
    endpoints = read_metadata(DOCUMENT, ISSUER)
    provider = Provider(ISSUER, "mine", OPENID_SCOPE, endpoints)
    url = AuthorizationRequest(provider, allowed_workspace_ids=("w",)).url
    assert url.startswith(f"{ISSUER}/auth?response_type=code&client_id=mine&")
    for name in ("originator", "simplified", "organizations", "workspace", "connectors"):
        assert name not in url
    assert "scope=openid+profile+email+offline_access" in url
