"""Opening a graphical browser where there is one; never a text browser, never through a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

_TEXT_BROWSERS = {"w3m", "lynx", "links", "links2", "elinks", "browsh", "www-browser", "cat"}
_GRAPHICAL = ("xdg-open", "x-www-browser", "firefox", "google-chrome", "chromium", "epiphany")

Launch = Callable[[list[str]], bool]


def open_browser(
    url: str,
    environ: Mapping[str, str],
    *,
    launch: Launch | None = None,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> bool:
    """Open `url` in a graphical browser on this machine's own screen and tell whether one started.

    Over ssh the screen is another machine's, so none is opened there.
    """
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return False
    if platform == "win32":
        return _start_file(url)
    start = launch or _launch
    return any(start([*command, url]) for command in _commands(environ, platform, which))


def _commands(
    environ: Mapping[str, str], platform: str, which: Callable[[str], str | None]
) -> list[list[str]]:
    """Return the commands that could open a page, best first."""
    if platform == "darwin":
        return [["/usr/bin/open"]]
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return []
    wished = [shlex.split(name) for name in environ.get("BROWSER", "").split(os.pathsep) if name]
    wished = [[word for word in command if word != "%s"] for command in wished]
    candidates = [*wished, *([name] for name in _GRAPHICAL)]
    return [
        command
        for command in candidates
        if command
        and os.path.basename(command[0]) not in _TEXT_BROWSERS
        and which(command[0]) is not None
    ]


def _launch(command: list[str]) -> bool:
    """Start a browser that neither writes into this terminal nor ends with it."""
    try:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    return True


def _start_file(url: str) -> bool:
    try:
        os.startfile(url)  # type: ignore[attr-defined,unused-ignore]  # noqa: S606
    except OSError:
        return False
    return True
