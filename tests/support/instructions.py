"""How many instructions a command takes, counted by valgrind: no load of the machine changes it."""

from __future__ import annotations

import compileall
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import headless_login
from headless_login.codex.home import CodexHome
from tests.support.listening import free_port
from tests.support.program import environment
from tests.support.stored_files import chatgpt, store

RUNS_ON = " ".join(
    [platform.python_implementation(), platform.python_version(), platform.machine()]
)
_WHOLE = "from headless_login.__main__ import run; run()"  # as the installed command, without runpy
# Ends at the first write of an address.
_TO_ADDRESS = f"""
import os
from headless_login.terminal.output import Console, write_text

def write(self, text):
    write_text(self.stream, text)
    if "/oauth/authorize" in text:
        os._exit(0)

Console.write = write
{_WHOLE}
"""
_ADDRESSES = ("login", "login --paste-redirect")
_SIGNED_IN = ("login status", "token", "logout")


def counter() -> str | None:
    """Return where valgrind is, or None."""
    return shutil.which("valgrind")


def ratio(line: str, home: CodexHome) -> float:
    """Return the instructions of a command line, bare starts being 1; `home` is empty."""
    if line in _SIGNED_IN:
        store(home, chatgpt())
    words = line.split()
    more = ["--port", str(free_port())] if line == "login" else []
    program = _TO_ADDRESS if line in _ADDRESSES else _WHOLE
    issuer = "http://127.0.0.1:1" if more else None  # the only kind that takes any port
    return _counted(program, *words, *more, home=home.path, issuer=issuer) / _bare(home.path)


@cache
def _bare(home: str) -> int:
    compileall.compile_dir(Path(headless_login.__file__).parent, quiet=2)
    return _counted("pass", home=home, issuer=None)


def _counted(program: str, *words: str, home: str, issuer: str | None) -> int:
    """Count, with standard input a pipe that holds a key, or stays open; names hashed as always."""
    command = [counter() or "", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    with subprocess.Popen(
        [*command, sys.executable, "-s", "-P", "-c", program, *words],
        env=environment(home, issuer, PYTHONHASHSEED="0", PATH="/usr/bin:/bin"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stderr
        assert child.stdin
        if "--with-api-key" in words:
            child.stdin.write("sk-proj-0123456789abcdefghij\n")
            child.stdin.close()
        told = child.stderr.read()
    (found,) = re.findall(r"Collected : (\d+)", told)
    return int(found)
