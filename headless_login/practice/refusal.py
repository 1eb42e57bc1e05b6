"""Token requests that do not hold, in the two forms that Codex's issuer answers."""

from __future__ import annotations

from headless_login.practice.wire import Answer, json_answer


class TokenRefused(Exception):
    """A request to the token or revocation endpoint is refused; `answer` says so on the wire."""

    def __init__(self, answer: Answer, description: str) -> None:
        super().__init__(description)
        self.answer = answer


def refused(error: str, description: str, *, status: int = 400) -> TokenRefused:
    """Return a refusal as flat JSON (RFC 6749 §5.2)."""
    flat = {"error": error, "error_description": description}
    return TokenRefused(json_answer(status, flat), description)


def refresh_refused(code: str, description: str) -> TokenRefused:
    """Return a refused refresh, nested as in OpenAI's APIs (codex-facts.md §3, §7)."""
    return TokenRefused(nested(401, code, description), description)


def nested(status: int, code: str, description: str) -> Answer:
    """Return an error as OpenAI's APIs nest it."""
    error = {"message": description, "type": "invalid_request_error", "param": None, "code": code}
    return json_answer(status, {"error": error})
