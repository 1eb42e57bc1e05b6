"""A listener that waits in a thread of its own, and clients that know no manners."""

from __future__ import annotations

import asyncio
import http.client
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Self

from headless_login.errors import HeadlessLoginError
from headless_login.flows import page
from headless_login.flows.loopback import LoopbackListener
from headless_login.flows.page import Page
from headless_login.flows.ports import bind_loopback
from headless_login.flows.race import first_grant
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import Grant

CODE = "ac_" + "c" * 60


def free_port() -> int:
    """Return a port that nobody has; outside the range from which clients get theirs."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20000, 32000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: HTTPMessage
    body: str

    @property
    def everything(self) -> str:
        """All text in it."""
        return f"{self.headers}{self.body}"


def fetch(port: int, target: str, *, method: str = "GET", host: str = "127.0.0.1") -> Answer:
    """Send one request as a browser would and return its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, headers={"Host": f"{host}:{port}"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def raw(port: int, sent: bytes, *, end: bool = False, timeout: float = 10) -> bytes:
    """Send bytes, and the end of them if asked, and return all that comes until the end."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        with suppress(ConnectionError):
            client.sendall(sent)
            if end:
                client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while chunk := client.recv(65536):
                got += chunk
    return got


class Listening:
    """A listener with its request; concludes as `outcome` says, once `may_conclude` is set."""

    def __init__(
        self,
        *,
        outcome: Callable[[Grant | HeadlessLoginError], Page] | None = None,
        timeout: float = 20,
        request_timeout: float = 5,
    ) -> None:
        """Take what the page says of the result, and the listener's time-outs in seconds."""
        self.port = free_port()
        self.request = AuthorizationRequest(Provider(), redirect_uri_for(self.port))
        self.result: Grant | HeadlessLoginError | None = None
        self.may_conclude = threading.Event()
        self.may_conclude.set()
        self.concluding_took = 0.0
        self.ended_at = 0.0
        self._outcome = outcome or _true
        self._timeout = timeout
        _, sockets = bind_loopback((self.port,))
        self._listener = LoopbackListener(self.request, sockets, request_timeout=request_timeout)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        try:
            self.result = (await first_grant({"browser": self._listener.wait()}, self._timeout))[1]
        except HeadlessLoginError as error:
            self.result = error
        await asyncio.to_thread(self.may_conclude.wait, 20)
        started = time.monotonic()
        await self._listener.conclude(self._outcome(self.result))
        self.ended_at = time.monotonic()
        self.concluding_took = self.ended_at - started

    def callback(self, query: str | None = None, code: str = CODE) -> str:
        """Return the target with a query, by default that of the right answer."""
        right = f"code={code}&scope=openid&state={self.request.state}"
        return f"/auth/callback?{right if query is None else query}"

    def win(self) -> Answer:
        """Bring the right answer as a browser does, and return the page that it ends at."""
        sent_on = fetch(self.port, self.callback())
        assert sent_on.status == 303
        return fetch(self.port, sent_on.headers["Location"])

    def has_ended(self, seconds: float) -> bool:
        """Return whether it has its answer, or gets it within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def wait_for_end(self) -> None:
        """Wait until it has concluded by itself."""
        self._thread.join(30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_conclude.set()  # first: the page that `win` asks for waits for it
        if self.result is None:
            with suppress(OSError):
                self.win()
        self._thread.join(30)
        assert not self._thread.is_alive()


def _true(result: Grant | HeadlessLoginError) -> Page:
    if isinstance(result, Grant):
        return page.success()
    return page.failure(result.message, result.hint)
