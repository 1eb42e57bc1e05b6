"""What only a network can tell (`doctor --online`): names, TLS, clocks, and the access token.

The refresh token is never sent: it works once. It stands by itself because it loads requests.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping

from headless_login.errors import FAILED, OK, WARNING, Finding, HeadlessLoginError, IssuerTrouble
from headless_login.issuer.client import SIDE_TIMEOUT, IssuerClient
from headless_login.issuer.surroundings import proxy_of
from headless_login.issuer.transport import within
from headless_login.oauth.provider import Provider, usage_address
from headless_login.oauth.text import clock_setting

_REFRESH = "headless-login token --refresh"
_NAME_SERVERS = (
    "the name servers in the system's settings"
    if sys.platform in ("win32", "darwin")
    else "/etc/resolv.conf"
)
_STATUSES = {
    401: (FAILED, "is refused (HTTP 401): revoked, or signed out everywhere", _REFRESH),
    403: (
        WARNING,
        "was not judged (HTTP 403)",
        "See what chatgpt.com says in a browser, from here.",
    ),
    429: (WARNING, "was not judged (HTTP 429): too many requests", "Try again later."),
}


def check_online(
    client_of: Callable[[], IssuerClient],
    access_token: str | None,
    account_id: str | None,
    *,
    personal: bool = False,
    environ: Mapping[str, str] = os.environ,
    resolve: Callable[..., object] = socket.getaddrinfo,
) -> Iterator[Finding]:
    """Ask the issuer, and whether the access token (`personal`: a personal one) still works.

    `client_of` makes its client; `resolve` is how names are looked up.
    """
    try:
        client = client_of()
        yield _name(client.provider, environ, resolve)
        yield from _connection(client)
    except IssuerTrouble as trouble:
        yield trouble.finding("tls" if trouble.error == "tls_error" else "issuer")
        return
    if access_token:
        yield _token(client, access_token, account_id, personal=personal)


def _name(
    provider: Provider, environ: Mapping[str, str], resolve: Callable[..., object]
) -> Finding:
    if proxy_of(provider, environ):
        return Finding("dns", OK, "Left to the proxy.")
    host = provider.host.rpartition(":")[0] or provider.host
    try:
        within(SIDE_TIMEOUT, lambda: resolve(host.strip("[]"), None))
    except (OSError, ValueError):  # a time-out is an OSError
        message = "The issuer's name cannot be resolved."
        return Finding("dns", FAILED, message, f"Fix {_NAME_SERVERS}, or set HTTPS_PROXY.")
    return Finding("dns", OK, "The issuer's name can be resolved.")


def _connection(client: IssuerClient) -> Iterator[Finding]:
    status, _ = client.ask(client.provider.at.jwks_uri)
    encrypted = client.provider.issuer.startswith("https:")
    tls = "Its certificate is trusted here." if encrypted else "Not used: it is this machine."
    yield Finding("tls", OK, tls)
    if 200 <= status < 500:
        yield Finding("issuer", OK, f"It answers (HTTP {status}).")
    else:
        yield Finding("issuer", WARNING, f"It is in trouble (HTTP {status}).", "Try again later.")
    if trouble := client.clock_trouble:
        yield Finding("clock_offset", FAILED, trouble, f"Set it, {clock_setting()}")
    else:
        yield Finding("clock_offset", OK, f"{abs(client.issuer_is_ahead):.0f} seconds.")


def _token(
    client: IssuerClient, access_token: str, account_id: str | None, *, personal: bool
) -> Finding:
    name = "access_token"
    if client.provider.endpoints is not None:
        return Finding(name, OK, "Not asked: this issuer names no place for it.")
    try:
        if personal:
            client.personal_access_token_metadata(access_token)
            return Finding(name, OK, "It still works.")
        status, headers = client.ask(usage_address(client.provider), access_token, account_id)
    except IssuerTrouble as trouble:
        return trouble.finding(name, WARNING)
    except HeadlessLoginError as refused:
        return Finding(name, FAILED, "It is refused.", refused.hint)
    if status == 200:
        return Finding(name, OK, "It still works.")
    if headers.get("cf-mitigated"):
        status = 0
    otherwise = (WARNING, f"was not judged (HTTP {status or 'challenge page'})", "Try again later.")
    found, told, remedy = _STATUSES.get(status, otherwise)
    return Finding(name, found, f"It {told}.", remedy)
