"""Winning a grant by a page on this machine's network address, which a phone opens.

Over plain HTTP: who listens there can open it, too. A code is worth nothing without the verifier
(RFC 7636), but an answer may be another account's: so nothing that comes by this page ends the
sign-in, and whose it is has to be confirmed elsewhere. Its path is what is known to those who have
seen the terminal; to all other requests nothing is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.flows import page, phone_page
from headless_login.flows.http_server import BadRequest, ConnectionServer, HttpRequest, Response
from headless_login.flows.page import Page
from headless_login.flows.phone_page import About
from headless_login.flows.race import Judge
from headless_login.oauth.naming import TOO_LONG
from headless_login.oauth.request import base64url
from headless_login.oauth.values import Grant

LARGEST_BODY = 3 * 64 * 1024 + 1024  # bytes: an answer's 64 KiB, each percent-encoded, and its name
REQUEST_TIMEOUT = 10.0  # seconds for a request to arrive whole
HOLDS = 20.0  # seconds that a page waits for what comes next; browsers give up after 60
FOLLOWS = 2.0  # seconds that the phone whose answer won gets to ask for the last page
FINISHES = 0.1
PAUSE = 2.0  # seconds between two answers that were not the right ones: the terminal's turn
MOST_WRONG, WITHIN = 10, 60.0  # answers from one address, seconds
_MOST_WAITING = 8  # answers, one an address
_MOST_HELD = 4  # requests, from one address
_MOST_KNOWN = 256  # addresses
# No name: another page's can be rebound to this machine, what is a number cannot.
_OWN_HOST = re.compile(r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.I)
_NOTHING = Response(404, (("Cache-Control", "no-store"),))


class _Client:
    """What is known of one address: its wrong answers, the last refusal, what it waits for."""

    def __init__(self) -> None:
        self.wrong: deque[float] = deque(maxlen=MOST_WRONG)
        self.refused = ""
        self.held = 0
        self.grant: Grant | None = None


class PhonePage:
    """Serves the page of one sign-in on a bound socket, until it is closed."""

    def __init__(
        self,
        judge: Judge,
        listening: socket.socket,
        about: About,
        *,
        request_timeout: float = REQUEST_TIMEOUT,
        holds: float = HOLDS,
        follows: float = FOLLOWS,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`judge` tells answers from everything else; the times are in seconds."""
        self.listening = listening
        self.on_rejected: Callable[[SignInRefused], None] = lambda _: None
        self._judge, self._about, self._clock = judge, about, clock
        self._holds, self._follows, self._pause = holds, follows, pause
        self._path = f"/{base64url(os.urandom(16))}"
        self._server = ConnectionServer(
            [listening],
            self._respond,
            request_timeout,
            lambda request: LARGEST_BODY if self._is_taken(request) else 0,
        )
        self._is_serving = False
        self._clients: dict[str, _Client] = {}
        self._current: _Client | None = None  # whose answer has been handed over
        self._refusals = 0
        self._outcome: Page | None = None
        self._changed = asyncio.Event()
        self._followed = asyncio.Event()

    @property
    def url(self) -> str:
        """The page's address; its path is 128 random bits in base64url."""
        address, port = self.listening.getsockname()[:2]
        return f"http://{f'[{address}]' if ':' in address else address}:{port}{self._path}"

    async def wait(self) -> Grant:
        """Return the next grant that somebody brings; may be cancelled, and be called again.

        The clients with the fewest wrong answers come first.
        """
        if not self._is_serving:
            self._is_serving = True
            self._server.start()
        if self._refusals:
            await asyncio.sleep(self._pause)
        while not (waiting := [each for each in self._clients.values() if each.grant]):
            await self._changed.wait()
        self._current = min(waiting, key=lambda client: len(client.wrong))
        grant, self._current.grant = self._current.grant, None
        assert grant  # noqa: S101  # nosec B101
        return grant

    def refuse(self, message: str) -> None:
        """Tell the client whose grant was returned last why it came to nothing."""
        if self._current is not None:
            self._refusals += 1
            self._current.refused = message
            self._current.wrong.append(self._clock())
            self._current = None
            self._notify()

    async def conclude(self, outcome: Page) -> None:
        """Show how it ended to all who ask, then close everything; never waits for a slow one."""
        self._outcome = outcome
        self._notify()
        if self._current is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._followed.wait(), self._follows)
        held = any(client.held for client in self._clients.values())
        await self._server.close(grace=FINISHES if held or self._followed.is_set() else 0.0)

    async def close(self) -> None:
        """Free the port and drop every connection; who waits for an outcome is told of the end."""
        if self._outcome is None and any(client.held for client in self._clients.values()):
            await self.conclude(page.INTERRUPTED)
        await self._server.close()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _is_taken(self, request: HttpRequest) -> bool:
        """Return whether it is for this page, by its path, and sent by no page of another site.

        `Origin: null` is a browser's own form under `no-referrer`, over plain HTTP.
        """
        given, own = request.path.encode(), self._path.encode()
        origin = request.headers.get("origin", "null").lower()
        return (
            hmac.compare_digest(given, own)
            and request.method in ("GET", "HEAD", "POST")
            and _OWN_HOST.fullmatch(request.host) is not None
            and origin in ("null", f"http://{request.host.lower()}")
            and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        )

    async def _respond(self, request: HttpRequest | BadRequest) -> Response:
        if isinstance(request, BadRequest) or not self._is_taken(request):
            return _NOTHING
        if request.method == "POST":
            return self._take(request)
        client = self._clients.get(request.client)
        if client and request.query == phone_page.HELD:
            await self._hold(client)
        return self._shown(client)

    async def _hold(self, client: _Client) -> None:
        """Wait until there is something new for a client, but not for ever."""
        if client.held >= _MOST_HELD:
            return
        client.held += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._holds):
                    while self._is_checked(client):
                        await self._changed.wait()
        finally:
            client.held -= 1

    def _is_checked(self, client: _Client) -> bool:
        is_open = client.grant is not None or client is self._current
        return is_open and self._outcome is None

    def _shown(self, client: _Client | None) -> Response:
        if self._outcome is not None:
            if client is self._current:
                self._followed.set()
            return Response(self._outcome.status, page.HEADERS, self._outcome.html())
        if client is None:
            return Response(200, phone_page.HEADERS, phone_page.form(self._about))
        if self._is_checked(client):
            seconds = 0 if client.held < _MOST_HELD else 5
            checking = phone_page.checking(self._about, seconds)
            return Response(200, phone_page.HEADERS, checking)
        shown = phone_page.form(self._about, client.refused)
        return Response(200, phone_page.HEADERS, shown)

    def _take(self, request: HttpRequest) -> Response:
        """Judge what was pasted into the form; a good answer waits for its turn."""
        client = self._client(request.client)
        now, waiting = self._clock(), sum(each.grant is not None for each in self._clients.values())
        is_full = waiting >= _MOST_WAITING and client.grant is None
        if is_full or (len(client.wrong) == MOST_WRONG and now - client.wrong[0] < WITHIN):
            shown = phone_page.form(self._about, phone_page.TOO_MANY)
            headers = (*phone_page.HEADERS, ("Retry-After", f"{WITHIN:.0f}"))
            return Response(429, headers, shown)
        try:
            client.grant = self._judge.accept(_pasted(request.body))
        except SignInRefused as refused:
            client.wrong.append(now)
            hint = f" {refused.hint}" if isinstance(refused, RejectedAnswer) else ""
            self.on_rejected(refused)
            shown = phone_page.form(self._about, f"{refused.message}{hint}")
            return Response(400, phone_page.HEADERS, shown)
        client.refused = ""
        self._notify()
        return Response(303, (*phone_page.HEADERS, ("Location", self._path)))

    def _client(self, address: str) -> _Client:
        """Return what is known of an address; of too many the oldest are forgotten."""
        if address not in self._clients:
            known = (each for each, client in self._clients.items() if not self._is_checked(client))
            if len(self._clients) >= _MOST_KNOWN:
                del self._clients[next(known)]
        return self._clients.setdefault(address, _Client())


def _pasted(body: bytes) -> str:
    """Return the text of the form's field; raises RejectedAnswer."""
    if len(body) > LARGEST_BODY:
        raise RejectedAnswer("not_a_redirect", TOO_LONG)
    try:
        fields = dict(parse_qsl(body.decode("ascii", "replace"), max_num_fields=4))
    except ValueError:
        fields = {}
    return fields.get(phone_page.FIELD, "")
