"""This program's own command line, as it can be typed where it is running now."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble


def own_arguments(home: CodexHome, environ: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the words of a call, with the Codex home unless every shell would find it."""
    named = [] if _is_usual(home, environ) else ["--codex-home", home.path]
    return [*_program(), *arguments, *named]


def _is_usual(home: CodexHome, environ: Mapping[str, str]) -> bool:
    """Tell whether a call finds this home by itself, with and without the variables of this one."""
    if environ.get("CODEX_HOME"):
        return False
    try:
        return home == CodexHome.find(None, environ)
    except LocalTrouble:  # nobody knows where this user's files are
        return False


def own_command(home: CodexHome, environ: Mapping[str, str], *arguments: str) -> str:
    """Return such a call for a shell."""
    from shlex import join

    return join(own_arguments(home, environ, *arguments))


def _program() -> list[str]:
    """Return how this program is found: by its name if that leads to it, else by its path."""
    from shutil import which

    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        return [sys.executable, "-m", "headless_login"]
    found = which("headless-login")
    if found and os.path.isfile(called) and os.path.samefile(found, called):
        return ["headless-login"]
    return [os.path.abspath(called)] if os.path.isfile(called) else ["headless-login"]
