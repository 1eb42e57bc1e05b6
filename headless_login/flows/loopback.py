"""Winning a grant by the browser's own request to the redirect URI (RFC 8252 §7.3).

Only a request with this sign-in's state can end the wait. It is sent on to a clean address at
once, so that no code stays in the address bar, and that page waits until the outcome is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from headless_login.errors import Cancelled, RejectedAnswer, SignInRefused
from headless_login.flows import page
from headless_login.flows.http_server import BadRequest, ConnectionServer, HttpRequest, Response
from headless_login.flows.page import Page
from headless_login.oauth.provider import CALLBACK_PATH
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Grant

BY_TLS = (
    "A browser asked for it by https://; write http:// in its address bar in place of that, or "
    "paste the address."
)
DONE_PATH = "/auth/done"
CANCEL_PATH = "/cancel"
REQUEST_TIMEOUT = 5.0  # seconds for a request to arrive whole
FOLLOWS = 0.35  # seconds that a browser gets to follow the redirect to the clean address
FINISHES = 0.1  # and to take the page; a second tab that was clicked gets its page meanwhile


class LoopbackListener:
    """Listens on bound sockets for the answer to one request."""

    def __init__(
        self,
        request: AuthorizationRequest,
        sockets: Sequence[socket.socket],
        *,
        request_timeout: float = REQUEST_TIMEOUT,
        follows: float = FOLLOWS,
        finishes: float = FINISHES,
        on_rejected: Callable[[RejectedAnswer], None] = lambda _: None,
    ) -> None:
        """`sockets` are those that `bind_loopback` returned; the times are in seconds.

        `on_rejected` is told of each answer that was not this request's.
        """
        self._follows, self._finishes = follows, finishes
        self._on_rejected = on_rejected
        self._request = request
        self._server = ConnectionServer(sockets, self._respond, request_timeout)
        # A refusal is a value here: asyncio prints an exception that is not awaited any more.
        self._answer: asyncio.Future[Grant | SignInRefused | Cancelled] | None = None
        self._outcome: asyncio.Future[Page] | None = None
        self._followed = asyncio.Event()

    async def wait(self) -> Grant:
        """Return the grant that the browser brings; may be cancelled, and be called again.

        Raises:
            SignInRefused: the browser brings a refusal with this request's state.
            Cancelled: another program asked for it by `GET /cancel`.
        """
        if self._answer is None:
            loop = asyncio.get_running_loop()
            self._answer, self._outcome = loop.create_future(), loop.create_future()
            self._server.start()
        answer = await asyncio.shield(self._answer)
        if not isinstance(answer, Grant):
            raise answer
        return answer

    async def conclude(self, outcome: Page) -> None:
        """Show the browser how it ended, then close everything; never waits for a slow one."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)
        if self._answered and not self._cancelled:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._followed.wait(), self._follows)
        await self._server.close(grace=self._finishes if self._followed.is_set() else 0.0)

    async def close(self) -> None:
        """Free the port and drop every connection, at once unless a sign-in breaks off in between.

        Then the answer is here and the outcome will never be: the browser that asks is told so.
        """
        if self._answered and self._outcome and not self._outcome.done():
            await self.conclude(page.INTERRUPTED)
        await self._server.close()

    @property
    def _answered(self) -> bool:
        return self._answer is not None and self._answer.done()

    @property
    def _cancelled(self) -> bool:
        answer = self._answer
        return answer is not None and answer.done() and isinstance(answer.result(), Cancelled)

    async def _respond(self, request: HttpRequest | BadRequest) -> Response:
        if isinstance(request, BadRequest):
            if request.is_tls:
                self._on_rejected(RejectedAnswer("not_a_redirect", BY_TLS))
            return _shown(page.rejected("The request is not proper HTTP, or far too long."))
        if not request.is_for_loopback:
            return _shown(page.rejected("The request names another host."))
        if request.path == DONE_PATH and request.is_get and self._answered and self._outcome:
            outcome = await asyncio.shield(self._outcome)  # one tab's end is not the other's
            self._followed.set()
            return _shown(outcome)
        if request.path not in (CALLBACK_PATH, CANCEL_PATH):
            return _shown(page.NOT_FOUND)
        if not request.is_get:
            return Response(405, (*page.HEADERS, ("Allow", "GET")), page.NOT_ALLOWED.html())
        return self._cancel(request) if request.path == CANCEL_PATH else self._judge(request.query)

    def _cancel(self, request: HttpRequest) -> Response:
        """End the wait for a program on this machine (codex-facts.md §8), never for a web page."""
        if request.is_from_page:
            return _shown(page.NOT_FOR_PAGES)
        if self._answer is None or self._answer.done():
            return _shown(page.TOO_LATE)
        self._answer.set_result(Cancelled())
        return _shown(page.CANCELLED)

    def _judge(self, query: str) -> Response:
        """Judge a query; an answer to this sign-in, whatever it says, sends the browser on."""
        answer: Grant | SignInRefused
        try:
            answer = self._request.accept_query(query)
        except RejectedAnswer as rejected:
            self._on_rejected(rejected)
            return _shown(page.rejected(rejected.message))
        except SignInRefused as refused:
            answer = refused.with_traceback(None)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
        # RFC 9110 §15.4.4: the browser follows by GET, and shows the address that it ends at.
        return Response(303, (*page.HEADERS, ("Location", DONE_PATH)))


def _shown(shown: Page) -> Response:
    return Response(shown.status, page.HEADERS, shown.html())
