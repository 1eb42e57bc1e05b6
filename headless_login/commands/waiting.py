"""Waiting for an answer, from the browser and from the person at once, until one has won."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from headless_login.commands.asking import Asker, Interrupted
from headless_login.commands.showing import WithoutInput
from headless_login.errors import HeadlessLoginError, RejectedAnswer
from headless_login.flows import page
from headless_login.flows.loopback import LoopbackListener
from headless_login.flows.race import NoWayLeft, first_grant, win_by_paste
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Grant
from headless_login.terminal.output import Listeners

_BROWSER, _PASTE = "The browser brought the answer", "The pasted answer is accepted"


class Waiting:
    """One request that waits for its answer; leaving the context frees port and terminal."""

    def __init__(
        self,
        listeners: Listeners,
        request: AuthorizationRequest,
        sockets: Sequence[socket.socket],
        left: Callable[[], float],
        resized: Callable[[], Callable[[], None] | None],
        answer: Callable[[AuthorizationRequest], str] | None = None,
    ) -> None:
        """Take the listening sockets, if any, and what returns the seconds that are left.

        `resized` returns what is to be shown when the terminal has got another size, if anything.
        `answer` plays the person: it is asked in place of terminal and pipe.
        """
        self._console = listeners.console
        self._listeners = listeners
        self._request = request
        self._sockets = sockets
        self._left = left
        self._answer = answer
        self._told = False
        self.last_answer = ""
        self._asker = Asker(self._console, request, left, resized)

    def __enter__(self) -> Self:
        gc.enable()  # off since the start, for speed; a wait may last, and see much
        self._runner = asyncio.Runner()
        self._listener = (
            LoopbackListener(self._request, self._sockets, on_rejected=self._tell)
            if self._sockets
            else None
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._listener is not None:
                self._runner.run(self._listener.close())
        finally:
            self._runner.close()

    def win(self) -> Grant:
        """Return the grant of whichever answer comes first, and say whose it was.

        Raises:
            HeadlessLoginError: it was refused, none came in time, or none can come.
            KeyboardInterrupt: Ctrl-C.
        """
        ways = {_PASTE: self._pasted()}
        if self._listener is not None:
            ways = {_BROWSER: self._listener.wait(), **ways}
        reason: BaseException
        try:
            way, grant = self._runner.run(first_grant(ways, self._left()))
        except NoWayLeft:
            reason = WithoutInput()
        except Interrupted:
            reason = KeyboardInterrupt()
        else:
            if way is _PASTE and self._listener is not None:
                self._runner.run(self._listener.retire())
            self._console.say(f"{way}; fetching the tokens…")
            return grant
        raise reason

    def conclude(self, error: HeadlessLoginError | None = None) -> None:
        """Let the browser know how it ended: well, or with an error."""
        if self._listener is not None:
            ended = page.failure(error.message, error.hint) if error else page.success()
            self._runner.run(self._listener.conclude(ended))

    def _tell(self, rejected: RejectedAnswer) -> None:
        """Say once that something else came to the port; a flood must not fill the screen."""
        if not self._told:
            self._told = True
            self._asker.say(
                f"Something else came to the port and was refused: {rejected.message} "
                "This sign-in goes on waiting."
            )

    async def _pasted(self) -> Grant | None:
        grant = await win_by_paste(self._request, self._ask, self._reject)
        if grant is None and self._listener is not None:
            await self._asker.wait()
        return grant

    async def _ask(self) -> str | None:
        if self._answer is not None:
            return self._answer(self._request)
        answer = await self._asker.ask()
        self.last_answer = answer or ""
        return answer

    def _reject(self, rejected: RejectedAnswer) -> None:
        """Say why an answer was not taken; only a person can be asked again."""
        if self._answer is not None or not self._asker.can_ask_again:
            raise rejected
        self._listeners.tell_rejected(rejected)


def warm_up(delay: float = 0.5) -> None:
    """Load what the exchange needs while the person is busy; failures show later, in earnest."""

    def load() -> None:
        time.sleep(delay)
        with suppress(ImportError):
            import headless_login.signin  # noqa: F401

    threading.Thread(target=load, daemon=True).start()
