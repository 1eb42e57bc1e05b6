"""How fast the command is, as ratios to a bare interpreter's start within the same run.

    scripts/bench [rounds]

Milliseconds differ between machines; ratios hold. Each round runs everything once, in random
order; what counts is the median of the rounds' ratios. The second bare start is the control: if
its ratio is not near 1, the machine was too busy for a verdict. Exit code 1: over budget.
"""

from __future__ import annotations

import compileall
import fcntl
import os
import pty
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = str(Path(sys.executable).with_name("headless-login"))
BARE = [sys.executable, "-c", "pass"]
PRECISE = (0.95, 1.05)

# Ratios that must not be exceeded; measured on CPython 3.11, typer 0.28.
BUDGETS = {
    "bare interpreter, again": None,
    "--version": 7.0,
    "login status": 7.0,
    "login --with-api-key": 7.0,
    "login --paste-redirect: URL": 7.0,
    "login --paste-redirect: URL to QR code": 1.0,
    "login: URL, port bound": 8.0,
    "login start": 8.0,
}


def environment(home: str) -> dict[str, str]:
    """Return an environment in which nothing slows Python down or leads elsewhere."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "CODEX_HOME": home,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SSH_CONNECTION": "bench",
    }


def whole(command: list[str], home: str, stdin: bytes = b"") -> float:
    """Return the seconds that a command takes from start to end."""
    started = time.perf_counter()
    subprocess.run(command, input=stdin, capture_output=True, env=environment(home), check=False)
    return time.perf_counter() - started


def until(mark: bytes, command: list[str], home: str, *, after: bytes = b"") -> float:
    """Return the seconds until a command has written `mark` to a terminal of 120 by 60.

    Counted from its start, or from the moment at which it has written `after`.
    """
    started = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 120, 0, 0))
        os.execve(command[0], command, environment(home))  # noqa: S606
    seen = b""
    try:
        while mark not in seen:
            seen += os.read(terminal, 65536)
            if after and after in seen:
                started, after = time.perf_counter(), b""
        took = time.perf_counter() - started
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
    return took


def measurements(home: str) -> dict[str, Callable[[], float]]:
    """Return what is measured, by name."""
    paste = [COMMAND, "login", "--paste-redirect"]
    return {
        "bare interpreter, again": lambda: whole(BARE, home),
        "--version": lambda: whole([COMMAND, "--version"], home),
        "login status": lambda: whole([COMMAND, "login", "status"], home),
        "login --with-api-key": lambda: whole(
            [COMMAND, "login", "--with-api-key"], home, b"sk-practice-key-0123456789"
        ),
        "login --paste-redirect: URL": lambda: until(b"codex_cli_rs\r\n", paste, home),
        "login --paste-redirect: URL to QR code": lambda: until(
            b"page will fail", paste, home, after=b"codex_cli_rs\r\n"
        ),
        "login: URL, port bound": lambda: until(b"codex_cli_rs\r\n", [COMMAND, "login"], home),
        "login start": lambda: whole([COMMAND, "login", "start", "--timeout", "1"], home),
    }


def main() -> int:
    """Measure, print a table, and tell whether every budget is kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    compileall.compile_dir(PROJECT / "headless_login", quiet=2)
    ratios: dict[str, list[float]] = {name: [] for name in BUDGETS}
    bare = []
    with tempfile.TemporaryDirectory() as home:
        todo = {"": lambda: whole(BARE, home), **measurements(home)}
        for number in range(rounds + 3):
            names = random.sample(sorted(todo), len(todo))
            took = {name: todo[name]() for name in names}
            if number >= 3:  # the first rounds only warm up
                bare.append(took[""])
                for name in BUDGETS:
                    ratios[name].append(took[name] / took[""])
    print(f"bare interpreter: {statistics.median(bare) * 1000:.1f} ms, {rounds} rounds")
    return report(ratios)


def report(ratios: dict[str, list[float]]) -> int:
    """Print median and quartiles of each ratio beside its budget."""
    over = []
    for name, budget in BUDGETS.items():
        low, median, high = statistics.quantiles(ratios[name], n=4)
        told = f"budget {budget:.1f}" if budget else "control"
        print(f"{name:34} {median:6.2f}x  ({low:.2f} to {high:.2f})  {told}")
        if budget and median > budget:
            over.append(name)
    control = statistics.median(ratios["bare interpreter, again"])
    if not PRECISE[0] <= control <= PRECISE[1]:
        print("The machine was too busy for a verdict.")
        return 0
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
