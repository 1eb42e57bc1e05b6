"""Whether somebody can be asked, and whether anything can come: the terminal's own state."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from headless_login.terminal.input import can_be_asked


class _Stdin:
    """A standard input that calls itself a terminal, as NUL does on Windows."""

    closed = False

    def isatty(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the usual descriptor."""
        return 0


@pytest.mark.parametrize("is_console", [True, False], ids=["console", "NUL"])
def test_nobody_is_asked_at_nul(is_console: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows: only what has a console's mode is one (the seam, with Windows played)."""
    asked: list[int] = []

    def get_console_mode(handle: int, mode: object) -> int:
        asked.append(handle)
        return int(is_console and mode is not None)

    kernel = SimpleNamespace(GetConsoleMode=get_console_mode)
    windows = SimpleNamespace(kernel32=kernel)
    console = SimpleNamespace(get_osfhandle=lambda number: number + 100)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "stdin", _Stdin())
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr(ctypes, "windll", windows, raising=False)
    assert can_be_asked() is is_console
    assert asked == [100]
