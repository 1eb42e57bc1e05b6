"""The authorization endpoint: judges a request, shows it to the person, carries the decision back.

RFC 6749 §4.1.1 and §4.1.2, RFC 7636.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from headless_login.practice.grants import AuthorizationRequest, Grants
from headless_login.practice.pages import authorize_page, error_page
from headless_login.practice.person import Person
from headless_login.practice.wire import Answer, Parameters, RecordedRequest, Refused, parameters

REDIRECT_PORTS = (1455, 1457)  # codex-facts.md §1
_REDIRECT_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_REDIRECT_PATH = "/auth/callback"

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_\-]{43}")  # RFC 7636 §4.2: a SHA-256 in base64url
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3


class Consent:
    """What a person was asked and has not answered yet; each ticket is good for one answer."""

    def __init__(self, person: Person, grants: Grants, redirect_ports: tuple[int, ...]) -> None:
        self._person = person
        self._grants = grants
        self._rules = _rules(grants.client_id, redirect_ports)
        self._tickets: dict[str, AuthorizationRequest] = {}

    def ask(self, request: RecordedRequest) -> Answer:
        """Show the page that asks; raises Refused, and never redirects then (RFC 9700 §4.11)."""
        try:
            given = parameters(request.query)
        except ValueError:
            raise Refused(error_page("The address is damaged or says something twice.")) from None
        for name, acceptable in self._rules.items():
            if name not in given:
                raise Refused(error_page(f"The parameter {name} is missing."))
            if not acceptable(given[name]):
                raise Refused(error_page(f"The parameter {name} is not acceptable:", given[name]))
        asked = AuthorizationRequest(
            client_id=given["client_id"],
            redirect_uri=given["redirect_uri"],
            code_challenge=given["code_challenge"],
            scope=given["scope"],
            state=given["state"],
            originator=given.get("originator", ""),
            allowed_workspace_ids=tuple(
                filter(None, given.get("allowed_workspace_id", "").split(","))
            ),
        )
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = asked
        return authorize_page(asked, self._person, ticket)

    def decide(self, request: RecordedRequest) -> Answer:
        """Redirect with the code or the refusal that the pressed button stands for (§4.1.2)."""
        form = request.form()
        decision = form.get("decision", "")
        if decision not in ("approve", "deny"):
            raise Refused(error_page("The decision is neither approve nor deny:", decision))
        asked = self._tickets.pop(form.get("ticket", ""), None)
        if asked is None:
            raise Refused(error_page("This page was answered already, or never shown."))
        outcome = self._approved(asked) if decision == "approve" else _denied("The person said no.")
        # 303: the browser goes on by GET, whatever it came with (RFC 9700 §4.12).
        return Answer(303, headers=(("Location", asked.response(outcome)),))

    def _approved(self, asked: AuthorizationRequest) -> Parameters:
        allowed = asked.allowed_workspace_ids
        if allowed and self._person.account_id not in allowed:
            return _denied("The account is in none of the allowed workspaces.")
        return {"code": self._grants.new_code(asked), "scope": asked.scope}


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


def _denied(description: str) -> Parameters:
    return {"error": "access_denied", "error_description": description}
