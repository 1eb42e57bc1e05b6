"""`login`: the conversation around a sign-in with ChatGPT, by loopback or by paste.

What is imported here at the top is all that is loaded before the address is on the screen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headless_login.codex.config import Config
from headless_login.codex.home import CodexHome
from headless_login.codex.troubles import check_writable
from headless_login.commands.options import Options
from headless_login.errors import HeadlessLoginError, LocalTrouble, SignInRefused, WrongUsage
from headless_login.flows.ports import LOOPBACK, bind_loopback
from headless_login.oauth.provider import LOOPBACK_PORTS
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.terminal.console import Console
from headless_login.terminal.place import look_around
from headless_login.terminal.tty import can_be_asked, quiet_input

if TYPE_CHECKING:
    import socket

    from headless_login.commands.sheet import Sheet
    from headless_login.oauth.values import Grant, Tokens
    from headless_login.signin import SignedIn

_SHORTEST_EXCHANGE = 5.0  # seconds; a code that was won is not thrown away for a late minute


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
    answer: Callable[[AuthorizationRequest], str] | None = None  # in the person's place

    def run(self) -> SignedIn:
        """Sign in and say how it went.

        Raises:
            HeadlessLoginError: it did not come to that; nothing was written.
        """
        ready = self._prepare()
        with quiet_input():
            if self.options.device:
                return self._by_device(ready)
            if self.options.paste:
                return self._sign_in(ready, self.options.port or LOOPBACK_PORTS[0], [])
            try:
                port, sockets = self._bind()
            except LocalTrouble as trouble:
                unavailable = trouble
            else:
                return self._sign_in(ready, port, sockets)
            self.console.say(f"{unavailable.message} Signing in by paste instead.")
            try:
                return self._sign_in(ready, self.options.port or LOOPBACK_PORTS[0], [])
            except WrongUsage:
                pass  # nothing can be pasted either: the port is what is wrong
            raise unavailable

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

    def _by_device(self, ready: _Ready) -> SignedIn:
        """Sign in with a one-time code, or by paste where the issuer offers none."""
        from headless_login.commands.device import win_by_device
        from headless_login.issuer.client import IssuerClient

        client = IssuerClient(self.options.provider, environ=self.environ)
        try:
            grant = win_by_device(
                self.console,
                client,
                lambda: max(0.1, ready.deadline - self.clock()),
                self.options.qr,
                qr_file=self.options.qr_file,
            )
        except SignInRefused as refused:
            if refused.error != "device_auth_disabled":
                raise
            disabled = refused
        else:
            self.console.say("Approved; fetching the tokens…")
            return self._complete(grant, ready)
        self.console.say(f"{disabled.message} Signing in by paste instead.")
        try:
            return self._sign_in(ready, self.options.port or LOOPBACK_PORTS[0], [])
        except WrongUsage:
            pass  # nothing can be pasted either
        raise disabled

    def _bind(self) -> tuple[int, list[socket.socket]]:
        ports = (self.options.port,) if self.options.port else LOOPBACK_PORTS
        addresses = (self.options.bind,) if self.options.bind else LOOPBACK
        return bind_loopback(
            ports,
            addresses,
            take_over=self.options.take_over,
            on_passed_over=lambda text: self.console.say(f"Note: {text}"),
        )

    def _sign_in(self, ready: _Ready, port: int, sockets: list[socket.socket]) -> SignedIn:
        """Show the way, wait for whichever answer comes first, and finish with it."""
        request = AuthorizationRequest(
            self.options.provider, redirect_uri_for(port), ready.config.forced_workspace_ids
        )
        sheet = self._show(request, port if sockets else None)
        from headless_login.commands.waiting import Waiting, warm_up

        warm_up()

        def left() -> float:
            return max(0.0, ready.deadline - self.clock())

        with Waiting(self.console, request, sockets, left, sheet.resized, self.answer) as waiting:
            try:
                signed_in = self._complete(waiting.win(), ready)
            except HeadlessLoginError as error:
                waiting.conclude(error)
                raise
            waiting.conclude()
            return signed_in

    def _show(self, request: AuthorizationRequest, port: int | None) -> Sheet:
        """Show the address, open a browser where one is here, and tell what comes next."""
        from headless_login.commands.sheet import Scene, Sheet

        options = self.options
        can_paste = self.answer is not None or can_be_asked()
        scene = Scene(look_around(self.environ), port, options.bind, options.qr, can_paste)
        sheet = Sheet(self.console, request, scene)
        picture = ""
        if options.qr_file:
            from headless_login.commands.qr_file import write_qr_file

            picture = write_qr_file(request.url, options.qr_file)
        sheet.show_address()
        if picture:
            self.console.say(f"The QR code is in {picture}")
        opened = False
        if options.browser and port is not None:
            from headless_login.terminal.browser import open_browser

            opened = open_browser(request.url, self.environ, scene.place)
        sheet.show_way(opened=opened)
        return sheet

    def _complete(self, grant: Grant | Tokens, ready: _Ready) -> SignedIn:
        from headless_login.commands.wording import show_signed_in
        from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
        from headless_login.signin import complete

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
