"""Codexes that are running: each stays with the account that it was started with.

It stands by itself because it alone looks at other processes (Linux, /proc; elsewhere none is
found). The best that can be done: a process may end, or hide itself, at any moment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from headless_login.codex.home import CodexHome

_NAME = b"codex"

# A second has so many, in what the kernel tells (proc(5)).
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def running_codexes(home: CodexHome, *, proc: str = "/proc") -> list[int]:
    """Return the process ids of this user's Codexes that use a Codex folder, in order.

    `proc` is where the kernel shows processes.
    """
    try:
        found = sorted(int(name) for name in os.listdir(proc) if name.isdecimal())
    except OSError:
        return []
    return [pid for pid in found if _uses(os.path.join(proc, str(pid)), home)]


def started_at(process: int, *, now: Callable[[], float] = time.time, proc: str = "/proc") -> float:
    """Return when a process was started (seconds since the epoch); now, if that is not known."""
    if sys.platform == "win32":
        return now()
    with suppress(OSError, ValueError, IndexError):
        with open(os.path.join(proc, str(process), "stat"), "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])  # proc_pid_stat(5)
        with open(os.path.join(proc, "uptime")) as file:
            return now() - float(file.read().split()[0]) + ticks / _TICKS
    return now()


def _uses(process: str, home: CodexHome) -> bool:
    with suppress(OSError, ValueError):
        if not any(name.startswith(_NAME) for name in _names(process)):
            return False
        with open(os.path.join(process, "environ"), "rb") as file:  # of another user: refused
            variables = dict(
                pair.split(b"=", 1) for pair in file.read().split(b"\0") if b"=" in pair
            )
        default = os.path.join(variables.get(b"HOME", b""), b".codex")
        folder = variables.get(b"CODEX_HOME") or default
        return os.path.samefile(_seen_from(process, folder), home.path)
    return False


def _names(process: str) -> Iterator[bytes]:
    """Yield the name of the process, and that of its program: a thread may rename the first."""
    with open(os.path.join(process, "comm"), "rb") as file:
        yield file.read().strip()
    yield os.path.basename(os.readlink(os.fsencode(os.path.join(process, "exe"))))


def _seen_from(process: str, folder: bytes) -> bytes:
    """Return a path as this process finds it: a relative one counts from the other's own folder."""
    return os.path.join(os.fsencode(process), b"cwd", folder)
