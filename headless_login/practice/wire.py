"""Requests and answers of the practice issuer, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qsl

Parameters = dict[str, str]

_MOST_PARAMETERS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; Content-Length is added unless `headers` has its own (to lie with)."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An HTTP request as it came in; `path` is without the query, `headers` ignore case."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Message = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        """Whether the body calls itself JSON."""
        return self.headers.get_content_type() == "application/json"

    def form(self) -> Parameters:
        """Return the body's parameters, form-encoded or JSON; raises ValueError for all else."""
        if self.is_json:
            return _members(self.body.decode())
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            raise ValueError("the body is neither a form nor JSON")
        return parameters(self.body.decode())


def parameters(encoded: str) -> Parameters:
    """Take a form-encoded text apart; raises ValueError for doubled and undecodable parameters.

    Those without a value count as omitted (RFC 6749 §3.1, §3.2).
    """
    pairs = parse_qsl(encoded, errors="strict", max_num_fields=_MOST_PARAMETERS)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a parameter is included more than once")
    return found


def _members(text: str) -> Parameters:
    """Return the members of a JSON object that are texts; Codex sends no others that matter."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the JSON is not an object")
    return {name: member for name, member in value.items() if member and isinstance(member, str)}


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is included more than once")
    return found


def json_answer(status: int, value: Mapping[str, object]) -> Answer:
    """Return a JSON object as an answer."""
    return Answer(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))


def text_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Return one line of plain text as an answer."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, f"{text}\n".encode(), (kind, *headers))


def redirect_answer(location: str) -> Answer:
    """Send the browser on by GET, whatever it came with (RFC 9700 §4.12 asks for 303)."""
    return Answer(303, headers=(("Location", location),))


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
