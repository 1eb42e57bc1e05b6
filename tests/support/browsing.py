"""A browser for the last steps: it follows where it is sent, and shows what it ends at."""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import Response

from tests.support.listening import fetch


def follow(redirected_to: str) -> Response:
    """Go to the address that the issuer redirects to, and on to the page that it ends at."""
    parts = urlsplit(redirected_to)
    assert parts.port
    sent_on = fetch(parts.port, f"{parts.path}?{parts.query}")
    assert sent_on.status_code == 303, sent_on
    return fetch(parts.port, sent_on.headers["Location"])
