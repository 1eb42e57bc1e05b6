"""As much of HTTP/1.1 as one redirect needs, from and to a socket; h11 does the parsing."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

# Bytes. A redirect takes some 300 and a browser's headers about 2,000, but cookies of everything
# that was ever developed on this machine's loopback come along.
LARGEST_REQUEST = 64 * 1024
_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

Headers = Sequence[tuple[str, str]]


class BadRequest(Exception):
    """What came is not proper HTTP, or larger than LARGEST_REQUEST."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request; its query holds a code, so it has no repr."""

    method: str
    path: str
    query: str = field(repr=False)
    host: str
    is_from_page: bool = False

    @property
    def is_get(self) -> bool:
        """Whether it is what a browser sends when it is redirected."""
        return self.method == "GET"

    @property
    def is_for_loopback(self) -> bool:
        """Whether it names this machine itself; a rebound DNS name would not."""
        return _LOOPBACK_HOST.fullmatch(self.host) is not None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, after which the connection ends: keep-alive would hold the port."""

    status: int
    headers: Headers
    body: bytes = field(default=b"", repr=False)

    def encoded(self, *, to_head: bool = False) -> bytes:
        """Return its bytes, without the body if it answers HEAD (RFC 9110 §9.3.2)."""
        connection = h11.Connection(h11.SERVER)
        headers = [
            *self.headers,
            ("Content-Length", str(len(self.body))),
            ("Connection", "close"),
        ]
        reason = HTTPStatus(self.status).phrase
        head = h11.Response(status_code=self.status, headers=headers, reason=reason.encode())
        return (connection.send(head) or b"") + (b"" if to_head else self.body)


async def receive(connection: socket.socket) -> HttpRequest:
    """Return the next request; what follows its head stays unread or is forgotten.

    Raises:
        BadRequest: it is malformed or too large.
        ConnectionError: the other side closed without one.
    """
    loop = asyncio.get_running_loop()
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_REQUEST)
    try:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(await loop.sock_recv(connection, 8192))
    except h11.RemoteProtocolError:
        event = None
    if event is None:
        raise BadRequest  # outside the handler: h11's error quotes the request line
    if not isinstance(event, h11.Request):
        raise ConnectionError
    path, _, query = event.target.decode("ascii").partition("?")
    hosts = [value for name, value in event.headers if name == b"host"]
    host = hosts[0].decode("ascii", "replace") if len(hosts) == 1 else ""
    return HttpRequest(
        event.method.decode("ascii"), path, query, host, _is_from_page(event.headers)
    )


def _is_from_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a web page had the browser send it, by what no page can leave out or forge.

    Pages on other ports of this machine are `same-site`. A browser too old for Sec-Fetch-Site
    (Fetch Metadata, W3C) still says that it is one.
    """
    said = dict(headers)
    if b"origin" in said or b"referer" in said:
        return True
    if (site := said.get(b"sec-fetch-site")) is not None:
        return site not in (b"none", b"same-origin")
    return b"mozilla" in said.get(b"user-agent", b"").lower()
