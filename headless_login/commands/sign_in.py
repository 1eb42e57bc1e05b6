"""`login`: the conversation around a sign-in with ChatGPT, by loopback, by paste or by device code.

What is imported here at the top is all that is loaded before the address is on the screen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headless_login.codex.home import CodexHome
from headless_login.commands.options import Options
from headless_login.commands.ready import Ready, finish_sign_in, make_ready
from headless_login.commands.showing import WithoutInput, announce_request, show_way
from headless_login.errors import (
    HeadlessLoginError,
    LocalTrouble,
    RejectedAnswer,
    SignInRefused,
    WrongUsage,
)
from headless_login.oauth.provider import LOOPBACK_PORTS
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.terminal.input import quiet_input
from headless_login.terminal.output import Listeners

if TYPE_CHECKING:
    import socket

    from headless_login.oauth.values import Grant, Tokens
    from headless_login.signin import SignedIn

_SHORTEST_EXCHANGE = 5.0  # seconds; a code that was won is not thrown away for a late minute


@dataclass(frozen=True, slots=True)
class SignIn:
    """One run of `login`, with everything it touches outside."""

    options: Options
    listeners: Listeners = field(default_factory=Listeners)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.monotonic
    answer: Callable[[AuthorizationRequest], str] | None = None  # in the person's place

    def run(self) -> SignedIn:
        """Sign in and say how it went.

        Raises:
            HeadlessLoginError: it did not come to that; nothing was written.
        """
        deadline = self.clock() + self.options.timeout
        home = CodexHome.find(self.options.codex_home, self.environ)
        ready = make_ready(home, self.listeners.console)
        return _Underway(self, ready, deadline).run()


@dataclass(frozen=True, slots=True)
class _Underway:
    """A sign-in on a machine that is ready; `deadline` is a time of the clock."""

    sign_in: SignIn
    ready: Ready
    deadline: float

    @property
    def _options(self) -> Options:
        return self.sign_in.options

    def _left(self) -> float:
        return max(0.0, self.deadline - self.sign_in.clock())

    def _say(self, text: str) -> None:
        self.sign_in.listeners.console.say(text)

    def run(self) -> SignedIn:
        with quiet_input():
            if self._options.device:
                return self._by_device()
            if self._options.paste:
                return self._by_paste()
            try:
                port, sockets = self._bind()
            except LocalTrouble as trouble:
                unavailable = trouble
            else:
                return self._by_answer(port, sockets)
            return self._by_paste_instead(unavailable)

    def _by_device(self) -> SignedIn:
        """Sign in with a one-time code, or by paste where the issuer offers none."""
        from headless_login.commands.device import announce_code, win_by_device
        from headless_login.issuer.client import IssuerClient

        options, listeners = self._options, self.sign_in.listeners
        try:
            grant = win_by_device(
                listeners.console,
                IssuerClient(options.provider, environ=self.sign_in.environ),
                lambda: max(0.1, self._left()),
                options.qr,
                qr_file=options.qr_file,
                announce=lambda code: announce_code(listeners.events, code),
            )
        except SignInRefused as refused:
            if refused.error != "device_auth_disabled":
                raise
            disabled = refused
        else:
            self._say("Approved; fetching the tokens…")
            return self._complete(grant)
        return self._by_paste_instead(disabled)

    def _by_paste_instead(self, reason: HeadlessLoginError) -> SignedIn:
        """Sign in by paste where the way that was wanted does not exist; else that is the error."""
        self._say(f"{reason.message} Signing in by paste instead.")
        try:
            return self._by_paste()
        except WrongUsage:
            pass  # nothing can be pasted either
        raise reason

    def _by_paste(self) -> SignedIn:
        return self._by_answer(self._options.port or LOOPBACK_PORTS[0], [])

    def _bind(self) -> tuple[int, list[socket.socket]]:
        from headless_login.flows.ports import LOOPBACK, bind_loopback

        ports = (self._options.port,) if self._options.port else LOOPBACK_PORTS
        addresses = (self._options.bind,) if self._options.bind else LOOPBACK
        return bind_loopback(
            ports,
            addresses,
            take_over=self._options.take_over,
            on_passed_over=lambda text: self._say(f"Note: {text}"),
        )

    def _by_answer(self, port: int, sockets: list[socket.socket]) -> SignedIn:
        """Show the way, wait for whichever answer comes first, and finish with it."""
        sign_in = self.sign_in
        workspaces = self.ready.config.forced_workspace_ids
        request = AuthorizationRequest(self._options.provider, redirect_uri_for(port), workspaces)
        announce_request(sign_in.listeners.events, request, self._left())
        sheet = show_way(
            request,
            port if sockets else None,
            self._options,
            sign_in.listeners.console,
            sign_in.environ,
            is_played=sign_in.answer is not None,
        )
        from headless_login.commands.waiting import Waiting, warm_up

        warm_up()
        with Waiting(
            sign_in.listeners, request, sockets, self._left, sheet.resized, sign_in.answer
        ) as waiting:
            try:
                signed_in = self._complete(waiting.win())
            except (RejectedAnswer, WithoutInput) as error:
                waiting.conclude(error)
                return self._hand_over(request, waiting.last_answer, error)
            except HeadlessLoginError as error:
                waiting.conclude(error)
                raise
            waiting.conclude()
            return signed_in

    def _hand_over(
        self, request: AuthorizationRequest, text: str, error: RejectedAnswer | WithoutInput
    ) -> SignedIn:
        """Keep this sign-in for another process, or finish another's that was answered here."""
        from headless_login.commands.two_calls.finishing import Finishing
        from headless_login.commands.two_calls.handover import finish_another, keep_for_later

        finishing = Finishing(self.sign_in.listeners, self.ready, self.sign_in.environ)
        if isinstance(error, RejectedAnswer):
            return finish_another(finishing, text, error)
        raise keep_for_later(finishing, request, self._left())

    def _complete(self, grant: Grant | Tokens) -> SignedIn:
        from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient

        provider = self._options.provider
        return finish_sign_in(
            grant,
            provider,
            self.ready,
            self.sign_in.listeners,
            IssuerClient(provider, environ=self.sign_in.environ),
            timeout=min(EXCHANGE_TIMEOUT, max(_SHORTEST_EXCHANGE, self._left())),
        )
