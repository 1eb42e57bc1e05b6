"""Winning a grant by the browser's own request to the redirect URI (RFC 8252 §7.3).

One event loop serves every connection, each with its own deadline, so that none can hold up
another. Only a request with this sign-in's state can end the wait; it is sent on to a clean
address at once, and that page waits until the outcome is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence

import h11

from headless_login.errors import RejectedAnswer, SignInRefused, TimedOut
from headless_login.flows import page
from headless_login.flows.http import HttpRequest, receive, redirect, send
from headless_login.flows.page import Page
from headless_login.oauth.provider import CALLBACK_PATH
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Grant

DONE_PATH = "/auth/done"
REQUEST_TIMEOUT = 5.0  # seconds for a request to arrive whole, and for an answer to leave
_MOST_CONNECTIONS = 64
_FOLLOWS = 0.4  # seconds that a browser gets to follow the redirect to the clean address


class LoopbackListener:
    """Listens on bound sockets for the answer to one request."""

    def __init__(self, request: AuthorizationRequest, sockets: Sequence[socket.socket]) -> None:
        """Take the request to be answered, and the sockets that `bind_loopback` returned."""
        self._request = request
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._answer: asyncio.Future[Grant] | None = None
        self._outcome: asyncio.Future[Page] | None = None
        self._followed: asyncio.Event | None = None

    async def wait(self, timeout: float) -> Grant:
        """Return the grant that the browser brings.

        Raises:
            SignInRefused: the browser brings a refusal with this request's state.
            TimedOut: it brings nothing within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        self._answer, self._outcome = loop.create_future(), loop.create_future()
        self._followed = asyncio.Event()
        for listening in self._sockets:
            self._servers.append(await asyncio.start_server(self._connected, sock=listening))
        try:
            return await asyncio.wait_for(asyncio.shield(self._answer), timeout)
        except TimeoutError:
            pass
        raise TimedOut(f"Nobody signed in within {timeout:.0f} seconds.", "Start a new sign-in.")

    async def conclude(self, outcome: Page) -> None:
        """Show the browser how it ended, then close everything; never waits for a slow one."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)
        if self._followed is not None and self._answer is not None and self._answer.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._followed.wait(), _FOLLOWS)
        await self.close()

    async def close(self) -> None:
        """Free the port and drop every connection."""
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # a connection that fails concerns nobody but itself
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            try:
                request = await receive(reader)
            except h11.RemoteProtocolError:
                request = None
        if request is None:
            answer: Page | str = page.rejected("The request is not proper HTTP.")
        elif request.path == DONE_PATH and request.is_get and self._answered:
            answer = await self._show_outcome()
        else:
            answer = self._judge(request)
        async with asyncio.timeout(REQUEST_TIMEOUT):
            if isinstance(answer, Page):
                await send(writer, answer.status, page.HEADERS, answer.html())
            else:
                await redirect(writer, answer, page.HEADERS)
        if request is not None and request.path == DONE_PATH and self._followed is not None:
            self._followed.set()

    @property
    def _answered(self) -> bool:
        return self._answer is not None and self._answer.done()

    async def _show_outcome(self) -> Page:
        assert self._outcome is not None  # noqa: S101
        return await asyncio.shield(self._outcome)

    def _judge(self, request: HttpRequest) -> Page | str:
        """Return the page for a request, or the clean address to send the browser to."""
        if not request.is_for_loopback:
            return page.rejected("The request names another host.")
        if request.path != CALLBACK_PATH:
            return page.NOT_FOUND
        if not request.is_get:
            return page.NOT_ALLOWED
        try:
            grant = self._request.accept_query(request.query)
        except RejectedAnswer as rejected:
            return page.rejected(rejected.message)
        except SignInRefused as refused:
            if not self._answered and self._answer is not None:
                self._answer.set_exception(refused.with_traceback(None))
        else:
            if not self._answered and self._answer is not None:
                self._answer.set_result(grant)
        return DONE_PATH
