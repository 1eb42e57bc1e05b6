"""The authorization endpoint: shows the request to the person and carries the decision back."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from headless_login.practice.authorization import (
    AuthorizationRequest,
    BadAuthorizationRequest,
    read_authorization_request,
)
from headless_login.practice.pages import authorize_page, error_page
from headless_login.practice.person import Person
from headless_login.practice.wire import Answer, Parameters, RecordedRequest, redirect_answer


class Consent:
    """What a person was asked and has not answered yet; each ticket is good for one answer."""

    def __init__(
        self,
        person: Person,
        *,
        client_id: str,
        redirect_ports: tuple[int, ...],
        new_code: Callable[[AuthorizationRequest], str],
    ) -> None:
        self._person = person
        self._client_id = client_id
        self._redirect_ports = redirect_ports
        self._new_code = new_code
        self._tickets: dict[str, AuthorizationRequest] = {}

    def ask(self, request: RecordedRequest) -> Answer:
        """Show the page that asks, or what is wrong with the request (RFC 6749 §4.1.1)."""
        try:
            asked = read_authorization_request(
                request.query, client_id=self._client_id, redirect_ports=self._redirect_ports
            )
        except BadAuthorizationRequest as bad:
            return error_page(bad.reason, bad.value)
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = asked
        return authorize_page(asked, self._person, ticket)

    def decide(self, request: RecordedRequest) -> Answer:
        """Redirect with the code or the refusal that the pressed button stands for (§4.1.2)."""
        try:
            form = request.form()
        except ValueError:
            return error_page("The form is damaged.")
        decision = form.get("decision", "")
        if decision not in ("approve", "deny"):
            return error_page("The decision is neither approve nor deny:", decision)
        asked = self._tickets.pop(form.get("ticket", ""), None)
        if asked is None:
            return error_page("This page was answered already, or never shown.")
        outcome = self._approved(asked) if decision == "approve" else _denied("The person said no.")
        return redirect_answer(asked.response(outcome))

    def _approved(self, asked: AuthorizationRequest) -> Parameters:
        allowed = asked.allowed_workspace_ids
        if allowed and self._person.account_id not in allowed:
            return _denied("The account is in none of the allowed workspaces.")
        return {"code": self._new_code(asked), "scope": asked.scope}


def _denied(description: str) -> Parameters:
    return {"error": "access_denied", "error_description": description}
