"""`login start`: the first half of a sign-in whose second half is another process's affair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import PendingSignIn
from headless_login.codex.pending.store import PendingSignIns
from headless_login.commands.command_line import own_arguments
from headless_login.commands.options import Options
from headless_login.commands.ready import Ready, make_ready
from headless_login.commands.showing import announce_request
from headless_login.errors import SignInRefused
from headless_login.oauth.provider import LOOPBACK_PORTS
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import DeviceCode
from headless_login.terminal.output import AnswerConsole, Console, Listeners

SEND_IT = (
    "Send this address, whole, to the person who signs in. Their browser then ends at an error "
    "page (such as: This site can't be reached). That is expected: ask for the whole address of "
    "that page. It begins with {}?code="
)
ON_REQUEST = "Only for a person who asked for this: what comes back signs this machine in as them."
THEN_RUN = "Then run this, within {}, with what came back in place of ADDRESS:"
ON_REQUEST_TOO = "Tell them: go on only if you asked for this; never type a code sent unasked."
SWITCHED_OFF = (
    "Where that page refuses codes: ChatGPT Settings, Security. Or: headless-login login start"
)
SEND_CODE = "Send both to the person; when they are done, run this (exit code 5: not yet):"
_SCALE = 4  # pixels of a module's side: enough for a phone's camera, and a third of the text


@dataclass(frozen=True, slots=True)
class Start:
    """One run of `login start`, with everything it touches outside."""

    options: Options
    listeners: Listeners = field(default_factory=Listeners)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    answer: Console = field(default_factory=AnswerConsole)

    def run(self) -> None:
        """Keep a new sign-in, and print how it goes on.

        Raises:
            HeadlessLoginError: there is none.
        """
        home = CodexHome.find(self.options.codex_home, self.environ)
        ready = make_ready(home, self.listeners.console)
        if self.options.device:
            self._by_device(ready)
        else:
            self._by_address(ready)

    def _by_address(self, ready: Ready) -> None:
        options = self.options
        redirect_uri = redirect_uri_for(options.port or LOOPBACK_PORTS[0])
        request = AuthorizationRequest(
            options.provider, redirect_uri, ready.config.forced_workspace_ids
        )
        sign_in = PendingSignIn(request, options.provider, options.timeout)
        self._keep(sign_in, ready, request.url)
        events = self.listeners.events
        if events.wanted:
            command = own_arguments(ready.home, self.environ, "login", "finish", "-")
            more = {"finish": command, **self._picture(request.url)}
            announce_request(events, request, options.timeout, **more)
        else:
            self._show_address(ready, request)

    def _show_address(self, ready: Ready, request: AuthorizationRequest) -> None:
        from headless_login.commands.command_line import own_command
        from headless_login.commands.sheet import Scene, Sheet
        from headless_login.terminal.place import look_around

        command = own_command(ready.home, self.environ, "login", "finish", "-")
        words = (
            SEND_IT.format(request.redirect_uri),
            ON_REQUEST,
            THEN_RUN.format(_duration(self.options.timeout)),
        )
        scene = Scene(
            look_around(self.environ),
            qr=self.options.qr,
            words=words,
            command=f"echo 'ADDRESS' | {command}",
        )
        sheet = Sheet(self.answer, request, scene)
        sheet.show_address()
        sheet.show_way(opened=False)

    def _by_device(self, ready: Ready) -> None:
        from headless_login.commands.device import announce_code

        code = self._new_code()
        sign_in = PendingSignIn(code, self.options.provider, code.expires_in)
        self._keep(sign_in, ready, code.verification_uri)
        events = self.listeners.events
        if events.wanted:
            command = own_arguments(ready.home, self.environ, "login", "finish")
            announce_code(events, code, finish=command, **self._picture(code.verification_uri))
        else:
            self._show_code(ready, code)

    def _new_code(self) -> DeviceCode:
        from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient

        client = IssuerClient(self.options.provider, environ=self.environ)
        longest = self.options.timeout
        try:
            code = client.request_device_code(timeout=min(EXCHANGE_TIMEOUT, longest))
            return replace(code, expires_in=min(code.expires_in, longest))
        except SignInRefused as refused:
            disabled = refused
        hint = f"{disabled.hint} Or: headless-login login start"
        raise SignInRefused(disabled.error, disabled.message, hint)

    def _show_code(self, ready: Ready, code: DeviceCode) -> None:
        from headless_login.commands.command_line import own_command
        from headless_login.commands.device import show_code

        show_code(
            self.answer,
            code,
            self.options.qr,
            advice=(ON_REQUEST_TOO, SWITCHED_OFF, SEND_CODE),
            command=own_command(ready.home, self.environ, "login", "finish", "--no-wait"),
        )

    def _keep(self, sign_in: PendingSignIn, ready: Ready, address: str) -> None:
        """Keep it before anybody can answer it, and write its picture if one is wanted."""
        picture = ""
        if self.options.qr_file:
            from headless_login.commands.qr_file import write_qr_file

            picture = write_qr_file(address, self.options.qr_file)
        PendingSignIns(ready.home).add(sign_in)
        if picture:
            self.listeners.console.say(f"The QR code is in {picture}")

    def _picture(self, address: str) -> dict[str, str]:
        """Return the QR code as a PNG that fits into a line, unless none is wanted or possible."""
        from base64 import b64encode

        from headless_login.terminal.qr.matrix import matrix_of
        from headless_login.terminal.qr.pictures import png

        matrix = None if self.options.qr == "never" else matrix_of(address)
        if matrix is None:
            return {}
        return {"qr_png_base64": b64encode(png(matrix, scale=_SCALE)).decode()}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
