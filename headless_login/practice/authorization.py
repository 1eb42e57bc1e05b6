"""The authorization request: judged whole before a person sees it (RFC 6749 §4.1.1, RFC 7636)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from headless_login.practice.wire import Parameters, parameters

REDIRECT_PORTS = (1455, 1457)  # codex-facts.md §1
_REDIRECT_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_REDIRECT_PATH = "/auth/callback"

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_\-]{43}")  # RFC 7636 §4.2: a SHA-256 in base64url
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An acceptable authorization request."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    state: str = field(repr=False)
    originator: str = ""
    allowed_workspace_ids: tuple[str, ...] = ()

    def response(self, outcome: Parameters) -> str:
        """Return where the browser goes with the outcome and the state (RFC 6749 §4.1.2)."""
        return f"{self.redirect_uri}?{urlencode({**outcome, 'state': self.state})}"


class BadAuthorizationRequest(Exception):
    """The request is shown to the person as an error, and never redirected (RFC 9700 §4.11)."""

    def __init__(self, reason: str, value: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


def read_authorization_request(
    query: str, *, client_id: str, redirect_ports: tuple[int, ...] = REDIRECT_PORTS
) -> AuthorizationRequest:
    """Return the request that a query makes; raises BadAuthorizationRequest."""
    try:
        given = parameters(query)
    except ValueError:
        raise BadAuthorizationRequest("The address is damaged or says something twice.") from None
    for name, acceptable in _rules(client_id, redirect_ports).items():
        if name not in given:
            raise BadAuthorizationRequest(f"The parameter {name} is missing.")
        if not acceptable(given[name]):
            raise BadAuthorizationRequest(f"The parameter {name} is not acceptable:", given[name])
    return AuthorizationRequest(
        client_id=given["client_id"],
        redirect_uri=given["redirect_uri"],
        code_challenge=given["code_challenge"],
        scope=given["scope"],
        state=given["state"],
        originator=given.get("originator", ""),
        allowed_workspace_ids=tuple(filter(None, given.get("allowed_workspace_id", "").split(","))),
    )


def _rules(client_id: str, redirect_ports: tuple[int, ...]) -> dict[str, Callable[[str], bool]]:
    """Return what each required parameter has to be, in the order of judgement."""
    # Whole texts, not parts of a parsed address: RFC 9700 §2.1 asks for exact comparison.
    redirect_uris = {
        f"http://{host}:{port}{_REDIRECT_PATH}"
        for host in _REDIRECT_HOSTS
        for port in redirect_ports
    }
    return {
        "client_id": lambda value: value == client_id,
        "redirect_uri": lambda value: value in redirect_uris,
        "response_type": lambda value: value == "code",
        "code_challenge_method": lambda value: value == "S256",
        "code_challenge": lambda value: _S256_CHALLENGE.fullmatch(value) is not None,
        "state": bool,
        # Without `openid` there would be no ID token (OpenID Connect Core §3.1.2.1).
        "scope": lambda value: bool(_SCOPE.fullmatch(value)) and "openid" in value.split(" "),
    }
