"""Finding another authorization server's endpoints, before anything is shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from headless_login.errors import IssuerTrouble
from headless_login.issuer.transport import Transport, new_session, read_body
from headless_login.oauth.metadata import read_metadata, well_known_addresses
from headless_login.oauth.provider import Endpoints, Provider
from headless_login.oauth.token_response import read_document

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
