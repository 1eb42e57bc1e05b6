"""`login`: the conversation around a sign-in with ChatGPT, by loopback or by paste.

What is imported here at the top is all that is loaded before the address is on the screen.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headless_login.codex.config import Config
from headless_login.codex.home import CodexHome
from headless_login.codex.troubles import check_writable
from headless_login.errors import HeadlessLoginError, LocalTrouble, RejectedAnswer, WrongUsage
from headless_login.flows.ports import LOOPBACK, bind_loopback
from headless_login.oauth.provider import LOOPBACK_PORTS, Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.terminal.console import Console
from headless_login.terminal.tty import quiet_input

if TYPE_CHECKING:
    import asyncio
    import socket

    from headless_login.flows.loopback import LoopbackListener
    from headless_login.oauth.values import Grant
    from headless_login.signin import SignedIn

PASTE_LABEL = "Paste the address: "
_SHORTEST_EXCHANGE = 5.0  # seconds; a code that was won is not thrown away for a late minute


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `login`; `timeout` in seconds for the whole sign-in."""

    provider: Provider = field(default_factory=Provider)
    codex_home: str | None = None
    paste: bool = False
    browser: bool = True
    qr: str = "auto"
    timeout: float = 900.0
    port: int | None = None
    bind: str | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """What was looked at before anything is shown; `deadline` is a time of the clock."""

    home: CodexHome
    config: Config
    deadline: float


@dataclass(frozen=True, slots=True)
class SignIn:
    """One run of `login`, with everything it touches outside."""

    options: Options
    console: Console = field(default_factory=Console)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.monotonic
    ask: Callable[[AuthorizationRequest], str] | None = None

    def run(self) -> SignedIn:
        """Sign in and say how it went.

        Raises:
            HeadlessLoginError: it did not come to that; nothing was written.
        """
        ready = self._prepare()
        with quiet_input():
            return self._by_paste(ready) if self.options.paste else self._by_loopback(ready)

    def _prepare(self) -> _Ready:
        """Find out what can be known to fail before a code is spent on it."""
        deadline = self.clock() + self.options.timeout
        home = CodexHome.find(self.options.codex_home, self.environ)
        config = Config.read(home)
        config.check_method("chatgpt")
        if home.make():
            self.console.say(f"Made the Codex folder {home.path}.")
        check_writable(home)
        if config.store_warning:
            self.console.say(f"Note: {config.store_warning}")
        return _Ready(home, config, deadline)

    def _request(self, ready: _Ready, port: int) -> AuthorizationRequest:
        return AuthorizationRequest(
            self.options.provider, redirect_uri_for(port), ready.config.forced_workspace_ids
        )

    def _by_paste(self, ready: _Ready) -> SignedIn:
        from headless_login.commands.wording import show_for_paste
        from headless_login.flows.paste import win_by_paste

        request = self._request(ready, self.options.port or LOOPBACK_PORTS[0])
        show_for_paste(self.console, request, self.options.qr)
        answers = self.ask or self._asker(ready.deadline)
        grant = win_by_paste(request, lambda: answers(request), self._reject)
        return self._complete(grant, ready)

    def _asker(self, deadline: float) -> Callable[[AuthorizationRequest], str]:
        from headless_login.commands.asking import ask_pipe, ask_terminal

        warm_up()
        ask = ask_terminal if sys.stdin is not None and sys.stdin.isatty() else ask_pipe
        return lambda request: ask(self.console, request, deadline, self.clock)

    def _reject(self, rejected: RejectedAnswer) -> None:
        """Say why an answer was not taken; only a terminal can be asked again."""
        if self.ask is not None or sys.stdin is None or not sys.stdin.isatty():
            raise rejected
        self.console.say(f"{rejected.message} {rejected.hint}")

    def _by_loopback(self, ready: _Ready) -> SignedIn:
        ports = (self.options.port,) if self.options.port else LOOPBACK_PORTS
        addresses = (self.options.bind,) if self.options.bind else LOOPBACK
        try:
            port, sockets = bind_loopback(ports, addresses)
        except LocalTrouble as trouble:
            unavailable = trouble
        else:
            return self._listen(port, sockets, ready)
        self.console.say(f"{unavailable.message} Signing in by paste instead.")
        try:
            return self._by_paste(ready)
        except WrongUsage:
            pass  # nothing can be pasted either: the port is what is wrong
        raise unavailable

    def _listen(self, port: int, sockets: list[socket.socket], ready: _Ready) -> SignedIn:
        from headless_login.commands.wording import show_for_loopback

        request = self._request(ready, port)
        show_for_loopback(self.console, request, port, self.options.bind)
        if self.options.browser:
            from headless_login.terminal.browser import open_browser

            if open_browser(request.url, self.environ):
                self.console.say("A browser was opened on this machine.")
        import asyncio

        from headless_login.flows.loopback import LoopbackListener

        warm_up()
        with asyncio.Runner() as runner:
            listener = LoopbackListener(request, sockets)
            try:
                return self._served(runner, listener, ready)
            finally:
                runner.run(listener.close())

    def _served(
        self, runner: asyncio.Runner, listener: LoopbackListener, ready: _Ready
    ) -> SignedIn:
        """Wait for the browser, finish the sign-in, and only then tell the browser."""
        from headless_login.flows import page

        try:
            grant = runner.run(listener.wait(max(0.0, ready.deadline - self.clock())))
            signed_in = self._complete(grant, ready)
        except HeadlessLoginError as error:
            runner.run(listener.conclude(page.failure(error.message, error.hint)))
            raise
        runner.run(listener.conclude(page.success()))
        return signed_in

    def _complete(self, grant: Grant, ready: _Ready) -> SignedIn:
        from headless_login.commands.wording import show_signed_in
        from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
        from headless_login.signin import complete

        self.console.say("Answer accepted; fetching the tokens…")
        provider = self.options.provider
        left = max(_SHORTEST_EXCHANGE, ready.deadline - self.clock())
        signed_in = complete(
            grant,
            provider,
            ready.home,
            config=ready.config,
            client=IssuerClient(provider, environ=self.environ),
            timeout=min(EXCHANGE_TIMEOUT, left),
            remark=lambda text: self.console.say(f"Note: {text}"),
        )
        show_signed_in(self.console, signed_in)
        return signed_in


def warm_up(delay: float = 0.5) -> None:
    """Load what the exchange needs while the person is busy; failures show later, in earnest."""
    import threading

    def load() -> None:
        time.sleep(delay)
        with suppress(ImportError):
            import headless_login.signin  # noqa: F401

    threading.Thread(target=load, daemon=True).start()


def without_input() -> WrongUsage:
    """Return the error for a paste sign-in that nothing can be pasted into."""
    return WrongUsage(
        "There is no terminal and no input, so nothing can be pasted.",
        "Run it in a terminal (ssh -t, docker exec -it), or pipe the pasted address into it.",
    )
