"""Showing a sign-in to whoever is to go through with it: a person, a program, a browser."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headless_login.commands.options import Options
from headless_login.errors import WrongUsage
from headless_login.oauth.request import AuthorizationRequest
from headless_login.terminal.input import can_be_asked
from headless_login.terminal.output import Console, Events, utc
from headless_login.terminal.place import look_around

if TYPE_CHECKING:
    from headless_login.commands.sheet import Sheet


def announce_request(
    events: Events, request: AuthorizationRequest, left: float, **more: object
) -> None:
    """Tell a program the address to open, which is valid for `left` seconds."""
    if events.wanted:
        events.emit(
            "authorize",
            url=request.url,
            redirect_uri=request.redirect_uri,
            expires_at=utc(time.time() + left),
            **more,
        )


def show_way(
    request: AuthorizationRequest,
    port: int | None,
    options: Options,
    console: Console,
    environ: Mapping[str, str],
    *,
    is_played: bool,
) -> Sheet:
    """Show the address, open a browser where one is here, and tell what comes next.

    Without a `port` nobody listens; `is_played` tells that somebody answers in the person's place.
    """
    from headless_login.commands.sheet import Scene, Sheet

    can_paste = is_played or can_be_asked()
    scene = Scene(look_around(environ), port, options.bind, options.qr, can_paste)
    sheet = Sheet(console, request, scene)
    picture = ""
    if options.qr_file:
        from headless_login.commands.qr_file import write_qr_file

        picture = write_qr_file(request.url, options.qr_file)
    sheet.show_address()
    if picture:
        console.say(f"The QR code is in {picture}")
    opened = False
    if options.browser and port is not None:
        from headless_login.terminal.browser import open_browser

        opened = open_browser(request.url, environ, scene.place)
    sheet.show_way(opened=opened)
    return sheet


class WithoutInput(WrongUsage):
    """Nothing can be pasted into this process; `finish` is the command that takes it later."""

    def __init__(self, finish: str = "") -> None:
        """Take the command, if the sign-in was kept for it."""
        start = "headless-login login start"
        super().__init__(
            "There is no terminal and no input, so nothing can be pasted here.",
            f"The sign-in stays pending: echo 'ADDRESS' | {finish} (Next time: {start})"
            if finish
            else f"Sign in by two calls: {start}, and then headless-login login finish",
        )
