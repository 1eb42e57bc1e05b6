"""Screenshots of real terminals, read by both decoders: glyphs, colours and pictures as drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import environment
from tests.support.scanning import read_by_zbar, read_by_zxing
from tests.support.windows import Display, Window

# Shows the address of the sign-in to the test, which cannot read it off a window.
TELL = """
import sys
from headless_login.terminal.output import Console
write = Console.write
def told(self, text):
    for line in text.splitlines():
        if "/oauth/authorize?" in line:
            open(sys.argv[1], "w").write(line)
    write(self, text)
Console.write = told
from headless_login.cli import main
main(sys.argv[2:])
"""
XTERM = ["xterm", "-u8", "-fa", "DejaVu Sans Mono", "-b", "2", "+sb"]
KITTY = [
    *("kitty", "--config", "NONE", "-o", "remember_window_size=no", "-o", "font_size=9"),
    *("-o", "font_family=DejaVu Sans Mono", "-o", "update_check_interval=0"),
]


def _xterm(columns: int, rows: int, *options: str) -> list[str]:
    return [*XTERM, "-geometry", f"{columns}x{rows}+0+0", *options, "-e"]


def _kitty(columns: int, rows: int) -> list[str]:
    size = [f"initial_window_width={columns}c", f"initial_window_height={rows}c"]
    return [*KITTY, "-o", size[0], "-o", size[1]]


TERMINALS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "xterm, dark": (_xterm(120, 50, "-fs", "8", "-bg", "black", "-fg", "grey"), ()),
    "xterm, light": (_xterm(120, 50, "-fs", "8", "-bg", "white", "-fg", "black"), ()),
    "xterm, 80 by 45": (_xterm(80, 45, "-fs", "9"), ()),
    "xterm, sixels at 80 by 24": (_xterm(80, 24, "-fs", "10", "-ti", "vt340"), ("graphics",)),
    "kitty, half blocks": (_kitty(120, 52), ()),
    "kitty, a picture at 80 by 24": (_kitty(80, 24), ()),
}


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """One display for all windows, one after the other."""
    with Display(tmp_path_factory.mktemp("display")) as running:
        yield running


@pytest.mark.parametrize("case", TERMINALS)
def test_a_camera_would_read_it(
    case: str, display: Display, environ: dict[str, str], tmp_path: Path
) -> None:
    """Both decoders read the very address off the window's pixels."""
    window, options = TERMINALS[case]
    told = tmp_path / "address"
    script = tmp_path / "tell.py"
    script.write_text(TELL)
    modes = ["--qr", *options] if options else []
    arguments = [sys.executable, str(script), str(told), "login", "--paste-redirect", *modes]
    # The terminal itself says what TERM is.
    inside = [f"{name}={value}" for name, value in environ.items() if name != "TERM"]
    command = [*window, "env", *inside, *arguments]
    outside = environment(tmp_path, None) | {"HOME": str(tmp_path)}
    del outside["CODEX_HOME"]
    with Window(display, command, outside) as running:
        picture = running.until(lambda seen: bool(told.exists() and read_by_zbar(seen)))
        address = told.read_text()
        assert read_by_zbar(picture) == [address]
        assert read_by_zxing(picture) == [address]
