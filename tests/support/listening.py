"""A listener that waits in a thread of its own, and clients that know no manners."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import cycle
from typing import Self

import pytest
import requests
from requests import Response

from headless_login.errors import HeadlessLoginError
from headless_login.flows import page
from headless_login.flows.loopback import LoopbackListener
from headless_login.flows.page import Page
from headless_login.flows.ports import bind_loopback, listen
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import Grant

CODE = "ac_" + "c" * 60
PATIENCE = 30.0  # seconds; only against a hang


def _claim_ports() -> tuple[socket.socket, range]:
    """Claim a hundred ports for this process, by a UDP socket, where clients get none of theirs."""
    while True:
        claim = socket.socket(type=socket.SOCK_DGRAM)
        first = random.SystemRandom().randrange(20000, 32000, 100)
        with suppress(OSError):
            claim.bind(("127.0.0.1", first))
            return claim, range(first, first + 100)


_CLAIM, _PORTS = _claim_ports()
_in_turn = cycle(_PORTS)


def free_port() -> int:
    """Return a port that nobody has, and no other process of the tests will take."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", port := next(_in_turn))):
            return port


def listen_at(address: str, port: int) -> socket.socket:
    """Return another program's socket that listens there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family)


LOOPBACK: tuple[str, ...] = ("127.0.0.1",)
with suppress(OSError), listen_at("::1", 0):
    LOOPBACK = ("127.0.0.1", "::1")
needs_ipv6 = pytest.mark.skipif("::1" not in LOOPBACK, reason="this machine has no IPv6 loopback")


def fetch(port: int, target: str, *, host: str = "127.0.0.1", at: str = "127.0.0.1") -> Response:
    """Send one request as a browser would and return its answer."""
    url, headers = f"http://{at}:{port}{target}", {"Host": f"{host}:{port}"}
    return requests.get(url, headers=headers, allow_redirects=False, timeout=PATIENCE)


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def send(port: int, sent: bytes, *, end: bool = False) -> socket.socket:
    """Send bytes, and the end of them if asked, and return the connection, which may be broken."""
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    with suppress(OSError):
        client.sendall(sent)
        if end:
            client.shutdown(socket.SHUT_WR)
    return client


def read(client: socket.socket) -> bytes:
    """Return all that comes until the connection ends, however it does."""
    got = b""
    with client, suppress(ConnectionError):
        while chunk := client.recv(65536):
            got += chunk
    return got


def is_open(client: socket.socket, seconds: float = 0) -> bool:
    """Return whether a connection on which nothing comes is still open, after a time."""
    client.settimeout(seconds)
    try:
        return client.recv(1) != b""
    except (BlockingIOError, TimeoutError):
        return True
    except ConnectionError:
        return False


@contextmanager
def flooded(port: int) -> Iterator[None]:
    """Have several clients do nothing but send requests; a hundred have been when it begins."""
    enough, rising = threading.Event(), threading.Semaphore(0)

    def flood() -> None:
        while not enough.is_set():
            rising.release()
            with suppress(OSError):
                read(send(port, get("/auth/callback?state=forged")))

    flooders = [threading.Thread(target=flood) for _ in range(4)]
    for flooder in flooders:
        flooder.start()
    try:
        for _ in range(100):
            assert rising.acquire(timeout=PATIENCE)
        yield
    finally:
        enough.set()
        for flooder in flooders:
            flooder.join()


Result = Grant | HeadlessLoginError | None


def _true(result: Result) -> Page:
    if isinstance(result, HeadlessLoginError):
        return page.failure(result.message, result.hint)
    return page.success()


class Listening:
    """A listener with its request; concludes as `outcome` says, once `may_conclude` is set."""

    def __init__(
        self,
        *,
        outcome: Callable[[Result], Page] = _true,
        request_timeout: float = 600,
        follows: float = PATIENCE,
        make_socket: type[socket.socket] = socket.socket,
    ) -> None:
        self.port = free_port()
        self.fetch, self.send = partial(fetch, self.port), partial(send, self.port)
        self.request = AuthorizationRequest(Provider(), redirect_uri_for(self.port))
        self.result: Result = None
        self.may_conclude = threading.Event()
        self.may_conclude.set()
        self._outcome = outcome
        _, sockets = bind_loopback((self.port,), listen=partial(listen, make_socket=make_socket))
        self._listener = LoopbackListener(
            self.request, sockets, request_timeout=request_timeout, follows=follows
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        try:
            self.result = await self._listener.wait()
        except HeadlessLoginError as error:
            self.result = error
        await asyncio.to_thread(self.may_conclude.wait, PATIENCE)
        await self._listener.conclude(self._outcome(self.result))

    def callback(self, query: str = "", code: str = CODE) -> str:
        """Return the target with a query and our state, by default that of the right answer."""
        right = f"code={code}&scope=openid"
        return f"/auth/callback?{query or right}&state={self.request.state}"

    def win(self) -> Response:
        """Bring the right answer as a browser does, and return the page that it ends at."""
        sent_on = self.fetch(self.callback())
        assert sent_on.status_code == 303
        return self.fetch(sent_on.headers["Location"])

    def ended(self) -> Result:
        """Return what it got, after it has concluded by itself."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.result

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_conclude.set()  # first: the page that `win` asks for waits for it
        if self._thread.is_alive():
            with suppress(OSError):  # it has ended meanwhile
                self.win()
        self.ended()
