"""An HTTP/1.1 server for one redirect, which no client can keep busy; h11 does the parsing.

Plain sockets instead of asyncio's streams: those accept whole backlogs at once and write to
standard error when a client behaves badly.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import chain

import h11

# Bytes. A redirect takes some 300 and a browser's headers about 2,000, but cookies of everything
# that was ever developed on this machine's loopback come along.
LARGEST_REQUEST = 64 * 1024
_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

Headers = Sequence[tuple[str, str]]


class BadRequest(Exception):
    """What came is not proper HTTP, or larger than LARGEST_REQUEST; perhaps it is TLS."""

    def __init__(self, first: bytes = b"") -> None:
        """`first` is what it begins with."""
        super().__init__()
        self.is_tls = first.startswith(b"\x16\x03")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; its query or body holds a code, so they have no repr.

    `headers` have names in lower case. `client` is the address that it comes from.
    """

    method: str
    path: str
    query: str = field(repr=False)
    host: str
    is_from_page: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: str = ""
    body: bytes = field(default=b"", repr=False)

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


LargestBody = Callable[[HttpRequest], int]  # bytes, by the head of a request


def _no_body(_: HttpRequest) -> int:
    return 0


async def receive(
    connection: socket.socket, client: str = "", largest_body: LargestBody = _no_body
) -> HttpRequest:
    """Return the next request; where no body is wanted, it stays unread or is forgotten.

    One that is longer than `largest_body` allows is cut one byte behind that.

    Raises:
        BadRequest: it is malformed or too large.
        ConnectionError: the other side closed without one.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_REQUEST)
    first: list[bytes] = []
    event = await _next_event(parser, connection, first)
    if event is None:
        raise BadRequest(first[0][:2] if first else b"")
    if not isinstance(event, h11.Request):
        raise ConnectionError
    request = _request_of(event, client)
    if not (largest := largest_body(request)):
        return request
    body = b""
    while isinstance(event := await _next_event(parser, connection, first), h11.Data):
        body += event.data
        if len(body) > largest:
            return replace(request, body=body[: largest + 1])
    if not isinstance(event, h11.EndOfMessage):
        raise BadRequest
    return replace(request, body=body)


async def _next_event(
    parser: h11.Connection, connection: socket.socket, first: list[bytes]
) -> object:
    """Return what comes next, None if it is not proper HTTP; `first` gets the first bytes."""
    loop = asyncio.get_running_loop()
    try:
        while (event := parser.next_event()) is h11.NEED_DATA:
            chunk = await loop.sock_recv(connection, 8192)
            if not first:
                first.append(chunk)
            parser.receive_data(chunk)
    except h11.RemoteProtocolError:  # not raised on: it quotes the request line
        return None
    return event


def _request_of(event: h11.Request, client: str) -> HttpRequest:
    path, _, query = event.target.decode("ascii").partition("?")
    hosts = [value for name, value in event.headers if name == b"host"]
    host = hosts[0].decode("ascii", "replace") if len(hosts) == 1 else ""
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
    from_page = _is_from_page(event.headers)
    method = event.method.decode("ascii")
    return HttpRequest(method, path, query, host, from_page, headers, client)


def _is_from_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a web page had the browser send it, by what no page can leave out or forge.

    Pages on other ports of this machine are `same-site`. A browser too old for Sec-Fetch-Site
    (Fetch Metadata, W3C) still says that it is one.
    """
    said = dict(headers)
    if b"origin" in said or b"referer" in said:
        return True
    if (site := said.get(b"sec-fetch-site")) is not None:
        return site not in (b"none", b"same-origin")
    return b"mozilla" in said.get(b"user-agent", b"").lower()


MOST_CONNECTIONS = 64
_DRAINED = 1.0  # seconds for what a client still sends after its answer
_OUT_OF_SOCKETS = 0.05  # seconds to wait when the machine has none left

Respond = Callable[[HttpRequest | BadRequest], Awaitable[Response]]


class ConnectionServer:
    """Accepts on listening sockets and answers one request a connection."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        respond: Respond,
        request_timeout: float,
        largest_body: LargestBody = _no_body,
    ) -> None:
        """Take sockets, which are closed with the server, and what answers a request.

        A request has to arrive within `request_timeout` seconds, and its answer to leave.
        `largest_body` tells of how many bytes a request's body may be; 0: it is not read.
        """
        self._largest_body = largest_body
        self._sockets = sockets
        self._respond = respond
        self._timeout = request_timeout
        self._accepting: list[asyncio.Task[None]] = []
        # All connections, and those of them that have had their answer or sent no whole request
        # yet; each oldest first.
        self._serving: dict[asyncio.Task[None], str] = {}  # and where each comes from
        self._answered: dict[asyncio.Task[None], None] = {}
        self._reading: dict[asyncio.Task[None], None] = {}

    def start(self) -> None:
        """Begin to accept, in the running event loop."""
        for listening in self._sockets:
            listening.setblocking(False)
            self._accepting.append(asyncio.create_task(self._accept(listening)))

    async def close(self, *, grace: float = 0.0) -> None:
        """Free the port and drop every connection, after at most `grace` seconds to finish in."""
        if grace and self._serving:
            await asyncio.wait([*self._serving], timeout=grace)
        self._stop_listening()
        await asyncio.sleep(0)  # what was accepted in this turn comes to its task, or it were lost
        self._stop_listening()  # that task may have begun to listen again
        tasks = [*self._accepting, *self._serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    def _stop_listening(self) -> None:
        """Let no connection come to a task that is about to be cancelled: asyncio prints that."""
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            # ValueError: it is closed already. NotImplementedError: the loop of Windows needs none.
            with contextlib.suppress(ValueError, NotImplementedError):
                loop.remove_reader(listening)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError:  # the client is gone again, or no descriptor is left
                await asyncio.sleep(_OUT_OF_SOCKETS)
                continue
            self._admit(connection, str(address[0]))
            # One connection, then everybody's turn: sock_accept does not wait in a flood.
            await asyncio.sleep(0)

    def _admit(self, connection: socket.socket, client: str) -> None:
        """Serve a connection, in place of the one that needs it least if there are too many.

        Of the client that has the most: a crowd from one address keeps no other one out.
        """
        if len(self._serving) >= MOST_CONNECTIONS:
            ((busiest, _),) = Counter(self._serving.values()).most_common(1)
            each = chain(self._answered, self._reading, self._serving)
            idlest = next(task for task in each if self._serving.get(task) == busiest)
            idlest.cancel()
            self._forget(idlest)
        connection.setblocking(False)
        task = asyncio.create_task(self._serve(connection, client))
        self._serving[task], self._reading[task] = client, None

        def ended(task: asyncio.Task[None]) -> None:
            # Here and not in the task: one that is cancelled before its first step never runs.
            connection.close()
            self._forget(task)
            if not task.cancelled():
                task.exception()  # seen: asyncio would print it, and with it perhaps a query

        task.add_done_callback(ended)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._serving.pop(task, None)
        for tasks in (self._answered, self._reading):
            tasks.pop(task, None)

    async def _serve(self, connection: socket.socket, client: str) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101  # nosec B101
        # A connection that fails concerns no other one.
        with contextlib.suppress(OSError, TimeoutError):
            request = await self._receive(connection, client)
            self._reading.pop(task, None)
            response = await self._respond(request)
            await self._send(connection, response, to_head=_is_head(request))
            self._answered[task] = None
            async with asyncio.timeout(_DRAINED):
                await _drain(connection)

    async def _receive(self, connection: socket.socket, client: str) -> HttpRequest | BadRequest:
        try:
            async with asyncio.timeout(self._timeout):
                return await receive(connection, client, self._largest_body)
        except BadRequest as bad:
            return bad.with_traceback(None)

    async def _send(self, connection: socket.socket, response: Response, *, to_head: bool) -> None:
        async with asyncio.timeout(self._timeout):
            sent = response.encoded(to_head=to_head)
            await asyncio.get_running_loop().sock_sendall(connection, sent)
        connection.shutdown(socket.SHUT_WR)


def _is_head(request: HttpRequest | BadRequest) -> bool:
    return isinstance(request, HttpRequest) and request.method == "HEAD"


async def _drain(connection: socket.socket) -> None:
    """Read what still comes: closing on unread data would reset the answer away."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, 65536):
        await asyncio.sleep(0)
