"""What is loaded when: nothing heavy before the address is on the screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import environment

HEAVY = {
    "asyncio",
    "authlib",
    "cryptography",
    "h11",
    "joserfc",
    "prompt_toolkit",
    "pydantic",
    "qrcode",
    "requests",
    "rich",
    "ssl",
    "urllib3",
}

# Stops at the first write of an address, and tells what was loaded by then.
WATCH = """
import os, sys
from headless_login.terminal.output import AnswerConsole, Console

def write(self, text):
    if "/oauth/authorize" in text:
        print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
        sys.stdout.flush()
        os._exit(0)

Console.write = AnswerConsole.write = write
from headless_login.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "options", [["--paste-redirect"], [], ["start"]], ids=["paste", "loopback", "start"]
)
def test_nothing_heavy_before_the_address(options: list[str], codex_home: Path) -> None:
    """The person sees the address as soon as the command line itself is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, "login", *options],
        env=environment(codex_home, None),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    loaded = set(done.stdout.split())
    assert "headless_login" in loaded, done.stderr
    assert not loaded & HEAVY
    assert len(loaded) < 200
