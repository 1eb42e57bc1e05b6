"""Who listens on a port: looked up, never asked, because a request can end another's sign-in.

Codex 0.20 gives up at the first request that is not its answer, later versions at `/success`
[seen].
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from headless_login.typed import NamedTuple

_LISTENING = "0A"  # in /proc/net/tcp
_TIMEOUT = 2.0  # seconds


class PortHolder(NamedTuple):
    """A process that listens, by the name that the system gives it."""

    name: str
    process: int

    def __str__(self) -> str:
        """Return it as part of a sentence."""
        if self.name.startswith("codex"):
            return f"a Codex sign-in, process {self.process}"
        if self.name.startswith("headless-login"):
            return f"another headless-login, process {self.process}"
        return f"{self.name}, process {self.process}"

    @property
    def can_be_cancelled(self) -> bool:
        """Whether it is one of the two programs that know what `GET /cancel` means."""
        return self.name.startswith(("codex", "headless-login"))


def find_holder(port: int, *, exists: Callable[[str], bool] = os.path.exists) -> PortHolder | None:
    """Return the process that listens on a port, or None where that cannot be told."""
    if sys.platform == "win32":
        from headless_login.windows import listener_on, programs

        process = listener_on(port)
        return started_by(process, programs()) if process else None
    if exists("/proc/net/tcp"):
        return _find_in_proc(port)
    return _find_by_lsof(port)


def started_by(process: int, programs: Mapping[int, tuple[str, int]]) -> PortHolder:
    """Name a process, or the headless-login.exe that has started it (Windows).

    That is pip's launcher: it starts Python, in a virtual environment through one more, and waits.
    `programs` has name and parent of every process.
    """
    name, above = programs.get(process, ("", 0))
    for _ in range(2 if name.startswith("python") else 0):
        launcher, its_parent = programs.get(above, ("", 0))
        if launcher.startswith("headless-login"):
            return PortHolder(_printable(launcher), above)
        above = its_parent
    return PortHolder(_printable(name), process)


def cancel(port: int, address: str = "127.0.0.1") -> None:
    """Ask the login server on a port to end, as Codex asks (codex-facts.md §8)."""
    request = f"GET /cancel HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n"
    with (
        suppress(OSError),
        socket.create_connection((address, port), timeout=_TIMEOUT) as connection,
    ):
        connection.sendall(request.encode())
        while connection.recv(4096):
            pass


def _find_in_proc(port: int) -> PortHolder | None:
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in filter(str.isdigit, os.listdir("/proc")) if sockets else ():
        with suppress(OSError):  # it has ended, or is another user's
            folder = f"/proc/{process}/fd"
            if any(_link(f"{folder}/{descriptor}") in sockets for descriptor in os.listdir(folder)):
                return _described(process)
    return None


def _described(process: str) -> PortHolder:
    """Name a process, or its parent if that is Codex: 0.20 leaves the listening to a child."""
    name, parent = _name_and_parent(process)
    if not name.startswith("codex"):
        with suppress(OSError):
            if (parents := _name_and_parent(parent)[0]).startswith("codex"):
                name, process = parents, parent
    return PortHolder(_printable(name), int(process))


def _name_and_parent(process: str) -> tuple[str, str]:
    with open(f"/proc/{process}/status", errors="replace") as lines:
        fields = dict(line.rstrip("\n").partition(":\t")[::2] for line in lines)
    return fields["Name"], fields["PPid"]


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING:
                    yield fields[9]


def _link(path: str) -> str:
    with suppress(OSError):  # closed meanwhile
        return os.readlink(path)
    return ""


def _find_by_lsof(port: int) -> PortHolder | None:
    """Ask lsof, which macOS has; its -F prints `p` and the process, then `c` and the command."""
    import re
    import subprocess  # nosec B404

    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(  # nosec B603
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        ).stdout
        if found := re.search(r"^p(\d+)\n(?:.*\n)*?c(.+)$", told, re.MULTILINE):
            return PortHolder(_printable(found[2]), int(found[1]))
    return None


def _printable(name: str) -> str:
    """Return a process's name, which it chose itself, as something that can be shown."""
    return "".join(c for c in name.strip() if c.isprintable())[:40] or "a program"
