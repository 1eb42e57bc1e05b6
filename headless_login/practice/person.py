"""The person at the practice issuer: the identity, and how its buttons are pressed."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Person:
    """The person that the practice issuer's tokens name; `account_id` may be empty."""

    email: str = "ada@example.com"
    account_id: str = "1b9f6f3e-5c1d-4a63-9d0e-4f5a8f0c2a11"
    plan: str = "plus"
    user_id: str = "user-practice"


def approve(authorize_url: str, *, decision: str = "approve") -> str:
    """Open the address, press the button, and return where the browser would go, unvisited.

    `decision` is `approve` or `deny`. Proxies are ignored: only loopback is ever asked.

    Raises:
        ValueError: the address is not on loopback.
        RuntimeError: the issuer shows no such button, or does not redirect; says its status.
    """
    status, location, _ = _press(authorize_url, {"decision": decision})
    if location is None:
        raise RuntimeError(f"the issuer does not redirect: {status}")
    return location


def approve_device(verification_uri: str, user_code: str, *, decision: str = "approve") -> None:
    """Open the verification page, type the one-time code and press the button.

    Raises:
        ValueError: the address is not on loopback.
        RuntimeError: the issuer shows no such button, or does not take the code.
    """
    status, *_ = _press(verification_uri, {"user_code": user_code, "decision": decision})
    if status != 200:
        raise RuntimeError(f"the issuer does not take the code: {status}")


def _press(url: str, filled_in: dict[str, str]) -> tuple[int, str | None, str]:
    """Open a page, fill in its form, press the button, and return what `_ask` does."""
    status, _, page = _ask("GET", url)
    form = _Form()
    form.feed(page)
    if form.action is None or filled_in["decision"] not in form.buttons:
        button = filled_in["decision"]
        raise RuntimeError(f"the page ({status}) has no button {button!r}: {form.heading}")
    return _ask("POST", urljoin(url, form.action), urlencode({**form.hidden, **filled_in}))


def _ask(method: str, url: str, form: str | None = None) -> tuple[int, str | None, str]:
    """Return status, Location and body; http.client knows no proxies and follows nothing."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK_HOSTS:
        raise ValueError("only an issuer on loopback can be approved without a person")
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), form, headers)
        response = connection.getresponse()
        return response.status, response.getheader("Location"), response.read().decode()
    finally:
        connection.close()


class _Form(HTMLParser):
    """The page's form by POST: its action, hidden fields and the values of its buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.hidden: dict[str, str] = {}
        self.buttons: set[str] = set()
        self.heading = ""
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up what a tag says about the form."""
        found = {name: value or "" for name, value in attrs}
        self._in_heading = tag == "h1"
        if tag == "form" and found.get("method", "").lower() == "post":
            self.action = found.get("action", "")
        elif tag == "input" and found.get("type") == "hidden":
            self.hidden[found.get("name", "")] = found.get("value", "")
        elif tag == "button" and found.get("name") == "decision":
            self.buttons.add(found.get("value", ""))

    def handle_data(self, data: str) -> None:
        """Keep the heading, which says what went wrong."""
        if self._in_heading and data.strip():
            self.heading = data.strip()
