"""Where a sign-in runs, as far as one can see: by what way the person is here, and their browser.

Signs can be stale or missing, so they order and word what is offered; nothing is forbidden by
them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from headless_login.typed import NamedTuple

# What stands in a command that is to be copied must mean itself in every shell.
_PLAIN = {*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:%@-"}
_CONSOLES = [f"/dev/{each}" for each in ("console", "tty", "ttyS", "ttyAMA", "ttyUSB", "hvc")]
_KUBERNETES = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class SshConnection(NamedTuple):
    """The way in by ssh, as sshd tells it: the user, and this machine's address and port."""

    user: str
    address: str
    port: int


class Place(NamedTuple):
    """What is around a sign-in; an empty text or None is a sign that is missing."""

    ssh: SshConnection | None = None
    container: str = ""  # docker, podman, kubernetes, or another name
    pod: tuple[str, str] | None = None  # namespace and name
    editor: str = ""  # codespaces or vscode: it forwards ports and opens pages by itself
    multiplexer: str = ""  # tmux or screen
    wsl: bool = False
    ci: bool = False
    has_screen: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether the person's browser is likely on another machine than this program."""
        return bool(self.ssh or self.container or self.editor or self.ci or not self.has_screen)


def detect_place(
    environ: Mapping[str, str],
    *,
    platform: str = sys.platform,
    exists: Callable[[str], bool] = os.path.exists,
    read: Callable[[str], str] | None = None,
) -> Place:
    """Return what the environment variables and a few files tell."""
    read = read or _read
    # On Windows these files would be looked for on the present drive.
    container = _container(environ, exists if platform != "win32" else lambda _: False)
    wsl = platform == "linux" and (
        bool(environ.get("WSL_DISTRO_NAME")) or "microsoft" in read("/proc/version").lower()
    )
    return Place(
        ssh=_ssh(environ),
        container=container,
        pod=_pod(environ, read) if container == "kubernetes" else None,
        editor=_editor(environ),
        multiplexer="tmux" if environ.get("TMUX") else "screen" if environ.get("STY") else "",
        wsl=wsl,
        ci=environ.get("CI", "").lower() not in ("", "0", "false"),
        has_screen=platform in ("darwin", "win32")
        or wsl
        or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")),
    )


def takes_no_paste(environ: Mapping[str, str], terminal: str | None = None) -> bool:
    """Return whether nothing can be pasted, as on a console or a serial line.

    There is no clipboard behind a kernel's console, a virtual machine's screen or a KVM. `terminal`
    is a path; by default that of standard input.
    """
    terminal = _own_terminal() if terminal is None else terminal
    is_console = environ.get("TERM", "") in ("linux", "vt100", "vt102", "vt220")
    return is_console or terminal.rstrip("0123456789") in _CONSOLES


def _own_terminal() -> str:
    if sys.platform != "win32":
        with suppress(AttributeError, OSError, ValueError):
            return os.ttyname(sys.stdin.fileno())
    return ""


def _ssh(environ: Mapping[str, str]) -> SshConnection | None:
    """Read SSH_CONNECTION: the client's address and port, then this machine's (ssh(1))."""
    words = environ.get("SSH_CONNECTION", "").split()
    names = map(environ.get, ("USER", "LOGNAME", "USERNAME"))  # the last by Windows' sshd
    user = _plain(next(filter(None, names), ""))
    if len(words) == 4 and len(words[3]) <= 5 and words[3].isascii() and words[3].isdigit():
        return SshConnection(user, _plain(words[2]), int(words[3]))
    if words or environ.get("SSH_TTY") or environ.get("SSH_CLIENT"):
        return SshConnection(user, "", 22)
    return None


def _container(environ: Mapping[str, str], exists: Callable[[str], bool]) -> str:
    if environ.get("KUBERNETES_SERVICE_HOST") or exists(_KUBERNETES):
        return "kubernetes"
    if exists("/.dockerenv"):
        return "docker"
    if exists("/run/.containerenv"):
        return "podman"
    # systemd's convention; WSL2 with systemd calls itself a container as well.
    named = environ.get("container", "")
    return "" if named == "wsl" else named


def _pod(environ: Mapping[str, str], read: Callable[[str], str]) -> tuple[str, str] | None:
    name = _plain(environ.get("HOSTNAME", ""))
    return (_plain(read(_KUBERNETES).strip()) or "default", name) if name else None


def _editor(environ: Mapping[str, str]) -> str:
    """Return whether BROWSER is the helper of an editor whose window is on the person's machine."""
    if environ.get("CODESPACES", "").lower() == "true":
        return "codespaces"
    helper = environ.get("BROWSER", "").replace("\\", "/")
    if environ.get("VSCODE_IPC_HOOK_CLI") or helper.endswith("/helpers/browser.sh"):
        return "vscode"
    return ""


def _plain(text: str) -> str:
    is_word = _PLAIN.issuperset(text) and not text.startswith((".", "%", "@", "-"))
    return text if is_word else ""


def _read(path: str) -> str:
    with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return file.read(4096)
    return ""
