"""As much of an HTTP/1.1 server as one redirect needs; h11 does the parsing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11

LARGEST_REQUEST = 16 * 1024  # bytes; a redirect takes some 300, a browser's headers about 2,000
_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request; its query holds a code, so it has no repr."""

    method: str
    path: str
    query: str = field(repr=False)
    host: str

    @property
    def is_get(self) -> bool:
        """Whether it is what a browser sends when it is redirected."""
        return self.method == "GET"

    @property
    def is_for_loopback(self) -> bool:
        """Whether it names this machine itself; a rebound DNS name would not."""
        return _LOOPBACK_HOST.fullmatch(self.host) is not None


async def receive(reader: asyncio.StreamReader) -> HttpRequest:
    """Return the next request.

    Raises:
        h11.RemoteProtocolError: it is malformed or larger than LARGEST_REQUEST.
        ConnectionError: the other side closed without one.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_REQUEST)
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            path, _, query = event.target.decode("ascii").partition("?")
            hosts = [value for name, value in event.headers if name == b"host"]
            host = hosts[0].decode("ascii", "replace") if len(hosts) == 1 else ""
            return HttpRequest(event.method.decode("ascii"), path, query, host)
        if event is not h11.NEED_DATA:
            raise ConnectionError
        connection.receive_data(await reader.read(4096))


async def send(
    writer: asyncio.StreamWriter, status: int, headers: Headers, body: bytes = b""
) -> None:
    """Send one answer and end the connection; keep-alive would let a browser hold the port."""
    connection = h11.Connection(h11.SERVER)
    sent = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
    if status == 405:
        sent.append(("Allow", "GET"))
    for event in (
        h11.Response(status_code=status, headers=sent),
        h11.Data(data=body),
        h11.EndOfMessage(),
    ):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def redirect(writer: asyncio.StreamWriter, location: str, headers: Headers) -> None:
    """Send the browser on to an address of ours that carries nothing (RFC 9110 §15.4.4)."""
    await send(writer, 303, [*headers, ("Location", location)])
