"""Command lines to be copied: this program's own, as it is found here, and those for a tunnel."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping

from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble
from headless_login.oauth.text import shell_word
from headless_login.terminal.place import Place


def own_arguments(home: CodexHome, environ: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the words of a call, with the Codex home unless every shell would find it."""
    named = [] if _is_usual(home, environ) else ["--codex-home", home.path]
    return [*_program(), *arguments, *named]


def _is_usual(home: CodexHome, environ: Mapping[str, str]) -> bool:
    """Return whether a call finds this home by itself, in any shell of this user."""
    if environ.get("CODEX_HOME"):
        return False
    try:
        return home == CodexHome.find(None, environ)
    except LocalTrouble:  # this user's home folder is not known
        return False


def own_command(home: CodexHome, environ: Mapping[str, str], *arguments: str) -> str:
    """Return such a call for a shell."""
    return command_of(own_arguments(home, environ, *arguments))


def command_of(words: Iterable[str], *, platform: str = sys.platform) -> str:
    """Return a command line; to PowerShell a quoted program is a text, unless & is before it."""
    command = " ".join(shell_word(word, platform=platform) for word in words)
    both = platform == "win32" and command.startswith('"')
    return f"{command} (PowerShell: & {command})" if both else command


def command_to_deliver(target: str, replaces: bool) -> Callable[[str], str]:
    """Return what names the command that delivers the sign-in of a folder here."""
    more = ["--replace"] if replaces else []

    def command(folder: str) -> str:
        words = [*_program(), "push", target, "--move", *more, "--codex-home", folder]
        return command_of(words)

    return command


def _program() -> list[str]:
    """Return how this program is found: by its name if that leads to it, else by its path."""
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        return [sys.executable, "-m", "headless_login"]
    if not os.path.isfile(called) and os.path.isfile(f"{called}.exe"):
        called = f"{called}.exe"  # Windows' launcher leaves it out
    if not os.path.isfile(called):
        return ["headless-login"]
    # Not by `which`: shutil takes as long as a bare start, for archives.
    name = "headless-login.exe" if sys.platform == "win32" else "headless-login"
    on_path = (os.path.join(folder, name) for folder in os.get_exec_path())
    found = next((path for path in on_path if os.access(path, os.X_OK)), None)
    leads_here = found is not None and os.path.samefile(found, called)
    return ["headless-login"] if leads_here else [os.path.abspath(called)]


_WIDE = ("0.0.0.0", "::")  # noqa: S104  # nosec B104


def tunnel_advice(place: Place, port: int, bind: str | None) -> list[str]:
    """Return the lines for this place, or none where a browser reaches the port anyway."""
    for advise in (_editor, _ssh, _pod, _container):
        if lines := advise(place, port, bind):
            return lines
    return []


def _editor(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    if not place.editor:
        return []
    return [f"VS Code forwards port {port} by itself; if not, open Ports and add {port} there."]


def _ssh(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    """ssh(1): -L, from a second terminal, as OpenSSH 9.2 and newer refuse the escape ~C."""
    if place.ssh is None:
        return []
    user = f"{place.ssh.user}@" if place.ssh.user else ""
    other_port = f" -p {place.ssh.port}" if place.ssh.port != 22 else ""
    target = f"{user}{place.ssh.address or 'THIS-MACHINE'}"
    return [
        "Or run, in a second terminal on the browser's machine:",
        f"ssh -N -L {port}:localhost:{port}{other_port} {target}",
    ]


def _pod(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    if place.pod is None:
        return []
    namespace, name = place.pod
    return [f"Or: kubectl -n {namespace} port-forward pod/{name} {port}:{port}"]


def _container(place: Place, port: int, bind: str | None) -> list[str]:
    if place.container not in ("docker", "podman"):
        return []
    published = f"{place.container} run -p 127.0.0.1:{port}:{port}"
    if bind in _WIDE:
        return [f"Reachable from the host if it was started with: {published} …"]
    return [
        f"Or start the container with: {published} …",
        f"and in it: headless-login login --bind 0.0.0.0 --port {port}",
    ]
