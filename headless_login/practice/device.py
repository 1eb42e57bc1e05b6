"""Codex's device endpoints: a one-time code, the page that takes it, and the polls."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from headless_login.practice.grants import AuthorizationRequest, Grants, s256
from headless_login.practice.pages import device_page, error_page, message_page
from headless_login.practice.person import Person
from headless_login.practice.wire import (
    Answer,
    Parameters,
    RecordedRequest,
    json_answer,
    nested,
)

CODE_LIFETIME = 900  # seconds
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"  # nothing that is taken for another


@dataclass(slots=True)
class _Waiting:
    user_code: str
    expires_at: float
    decision: str = ""
    used: bool = False


class DeviceCodes:
    """What devices wait for; each code is approved or denied once, and fetched once."""

    def __init__(self, person: Person, grants: Grants) -> None:
        self._person = person
        self._grants = grants
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def new_user_code(self, form: Parameters) -> Answer:
        """Answer with a one-time code for the client (codex-facts.md §4, step 1)."""
        if form.get("client_id") != self._grants.client_id:
            return nested(400, "invalid_client", "The client is unknown.")
        device_auth_id = f"deviceauth_{secrets.token_urlsafe(24)}"
        letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
        user_code = f"{letters[:4]}-{letters[4:]}"
        expires_at = self._grants.now() + CODE_LIFETIME
        with self._lock:
            self._waiting[device_auth_id] = _Waiting(user_code, expires_at)
        given = {"device_auth_id": device_auth_id, "user_code": user_code, "interval": "5"}
        expiry = datetime.fromtimestamp(expires_at, UTC).isoformat()
        return json_answer(200, given | {"expires_at": expiry})

    def ask(self, _: RecordedRequest) -> Answer:
        """Show the page on which the person types the code (step 2)."""
        return device_page(self._person)

    def decide(self, request: RecordedRequest) -> Answer:
        """Take the person's decision on a typed code."""
        form = request.form()
        typed = form.get("user_code", "").strip().upper()
        decision = form.get("decision", "")
        with self._lock:
            for waiting in self._waiting.values():
                if waiting.user_code == typed and not waiting.decision:
                    if decision not in ("approve", "deny"):
                        return error_page("The decision is neither approve nor deny:", decision)
                    waiting.decision = decision
                    return message_page("Done", "Go back to the terminal.")
        return error_page("No device waits for this code.")

    def poll(self, form: Parameters, redirect_uri: str) -> Answer:
        """Answer a device that asks whether its person has approved (step 3)."""
        with self._lock:
            waiting = self._waiting.get(form.get("device_auth_id", ""))
            if waiting is None or waiting.used or waiting.user_code != form.get("user_code"):
                return nested(404, "deviceauth_authorization_unknown", "Nobody waits for this.")
            if self._grants.now() > waiting.expires_at:
                return nested(403, "", "Device authorization code has expired")
            if not waiting.decision:
                return nested(403, "deviceauth_authorization_pending", "Not approved yet.")
            waiting.used = True
            if waiting.decision == "deny":
                return nested(403, "access_denied", "The person said no.")
        return self._granted(redirect_uri)

    def _granted(self, redirect_uri: str) -> Answer:
        verifier = secrets.token_urlsafe(64)
        request = AuthorizationRequest(
            client_id=self._grants.client_id,
            redirect_uri=redirect_uri,
            code_challenge=s256(verifier),
            state="",
            scope="openid profile email offline_access",
        )
        pair = {"code_challenge": request.code_challenge, "code_verifier": verifier}
        return json_answer(200, {"authorization_code": self._grants.new_code(request)} | pair)
