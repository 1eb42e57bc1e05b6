"""Opening a graphical browser where there is one; never a text browser, never through a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess  # nosec B404
import sys
from collections.abc import Callable, Mapping

from headless_login.errors import OK, WARNING, Finding
from headless_login.oauth.text import unset
from headless_login.terminal.place import Place

# They would take this terminal, or fetch the page without showing it.
_TEXT_BROWSERS = {"w3m", "lynx", "links", "links2", "elinks", "browsh", "carbonyl", "chawan"} | {
    *("www-browser", "curl", "wget", "cat", "echo")
}
# They read the address as a part of their own language and cut it at `&`.
_WINDOWS_SHELLS = {"cmd", "cmd.exe", "powershell.exe", "pwsh.exe"}
_GRAPHICAL = ("xdg-open", "x-www-browser", "firefox", "google-chrome", "chromium", "epiphany")
# Under WSL: the browser of Windows, without cmd.exe, which would cut the address at `&`.
_WINDOWS = (
    ["wslview"],
    ["/mnt/c/Windows/System32/rundll32.exe", "url.dll,FileProtocolHandler"],
    ["rundll32.exe", "url.dll,FileProtocolHandler"],
)
_FAILS_WITHIN = 0.3  # seconds in which a command that cannot open anything says so

Launch = Callable[[list[str]], bool]


def open_browser(
    url: str,
    environ: Mapping[str, str],
    place: Place,
    *,
    launch: Launch | None = None,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
    fails_within: float = _FAILS_WITHIN,
) -> bool:
    """Open `url` in a graphical browser in front of the person and return whether one started.

    That is on this machine's own screen, or where the editor's own BROWSER opens it; never over
    ssh, whose screen, if any, is slow or unseen, and never in CI. `launch` starts one command,
    the address its last word or in place of `%s`; on Windows the address alone. One that has not
    failed after `fails_within` seconds is open.
    """
    if place.ci or (place.ssh and not place.editor) or not (place.has_screen or place.editor):
        return False
    if platform == "win32":
        return (launch or _start_file)([url])
    start = launch or (lambda command: _launch(command, fails_within))
    commands = _commands(environ, place, platform)
    return any(
        start(_with_url(words, url))
        for words in commands
        if words and _is_suitable(words) and which(words[0])
    )


def check_browser(
    environ: Mapping[str, str],
    place: Place,
    *,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> Finding:
    """Return whether a sign-in would open a browser here; none is started (`doctor`)."""
    name, found = "browser", list[str]()

    def note(command: list[str]) -> bool:
        found.append(os.path.basename(command[0]))
        return True

    url = "http://127.0.0.1"
    if open_browser(url, environ, place, launch=note, platform=platform, which=which):
        program = "" if platform == "win32" else f": {found[0]}"
        return Finding(name, OK, f"A browser is opened here{program}.")
    if place.is_remote and not place.editor:
        return Finding(name, OK, "None is opened here: the address is for a browser elsewhere.")
    set_to = " that BROWSER names" if environ.get("BROWSER") else ""
    remedy = f"{unset('BROWSER') + '. ' if set_to else ''}Or open the address yourself."
    return Finding(name, WARNING, f"There is no graphical browser here{set_to}.", remedy)


def _commands(environ: Mapping[str, str], place: Place, platform: str) -> list[list[str]]:
    """Return the commands that could open a page, best first."""
    if environ.get("BROWSER"):
        # It decides alone: set to w3m, or to nothing real, it means that no window is wanted.
        return [_words(command) for command in environ["BROWSER"].split(":")]
    if place.editor:
        return []
    if platform == "darwin":
        return [["/usr/bin/open"]]
    on_this_screen = [[name] for name in _GRAPHICAL]
    return [*_WINDOWS, *on_this_screen] if place.wsl else on_this_screen


def _words(command: str) -> list[str]:
    """Take one command of BROWSER apart as xdg-open does; nothing if its quotes do not match."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return words[:-1] if words[-1:] == ["&"] else words


def _is_suitable(words: list[str]) -> bool:
    """Return whether a command shows a page, and takes the address as a word and not as code."""
    unsuitable = _TEXT_BROWSERS | _WINDOWS_SHELLS
    return unsuitable.isdisjoint(os.path.basename(word) for word in words) and not any(
        "%s" in word and len(word.split()) > 1  # as in: sh -c 'firefox %s'
        for word in words
    )


def _with_url(command: list[str], url: str) -> list[str]:
    if any("%s" in word for word in command):
        return [word.replace("%s", url) for word in command]
    return [*command, url]


def _launch(command: list[str], fails_within: float) -> bool:
    """Start a browser that neither writes into this terminal nor ends with it."""
    try:
        process = subprocess.Popen(  # nosec B603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # xdg-open would try text browsers when it finds no other, or an empty BROWSER.
            env=os.environ | {"BROWSER": os.environ.get("BROWSER") or ":".join(_GRAPHICAL[1:])},
            start_new_session=True,
        )
        return process.wait(fails_within) == 0
    except subprocess.TimeoutExpired:
        return True  # it runs
    except OSError:
        return False


def _start_file(command: list[str]) -> bool:
    try:
        if sys.platform == "win32":
            os.startfile(command[0])  # noqa: S606  # nosec B606
    except OSError:
        return False
    return True
