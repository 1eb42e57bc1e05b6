"""The code on the screen of the real command: address, code and question together, and readable."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.support.listening import free_port
from tests.support.program import COMMAND, PROMPT, Terminal, environment, run
from tests.support.scanning import DARK, LIGHT, Theme, picture_of, read

PASTE = ("login", "--paste-redirect")


def _codes(terminal: Terminal, theme: Theme = DARK) -> list[str]:
    return read(picture_of(terminal.screen, theme))


def _settled(terminal: Terminal) -> str:
    """Return the address, once the question stands."""
    url = terminal.read_url()
    terminal.read_until(PROMPT)
    terminal.watch(0.2)
    return url


def _assert_in_order(terminal: Terminal, url: str) -> None:
    """Fail unless the whole address stands above and the question below the code."""
    lines = terminal.lines
    columns = len(terminal.screen.display[0])
    pieces = [url[start : start + columns] for start in range(0, len(url), columns)]
    first = lines.index(pieces[0])
    assert lines[first : first + len(pieces)] == pieces
    drawn = [y for y, line in enumerate(lines) if "▀" in line or "▄" in line]
    asked = max(y for y, line in enumerate(lines) if line.startswith(PROMPT))
    assert first + len(pieces) - 1 < min(drawn)
    assert max(drawn) < asked


# Columns, rows, and whether the explanations stand on the screen as well.
FITS = [(80, 45, False), (100, 45, False), (120, 50, True), (200, 60, True), (200, 100, True)]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("columns", "rows", "explained"), FITS)
def test_address_code_and_question_stand_together(
    columns: int,
    rows: int,
    explained: bool,
    theme: Theme,
    environ: dict[str, str],
) -> None:
    """Both decoders read the very address off the screen, whatever the theme."""
    with Terminal(*PASTE, environ=environ, columns=columns, rows=rows) as terminal:
        url = _settled(terminal)
        assert _codes(terminal, theme) == [url]
        if rows < 100:  # else it is drawn in blanks
            _assert_in_order(terminal, url)
        assert ("page will fail" in " ".join(terminal.lines)) is explained
        assert "page will fail" in terminal.text


@pytest.mark.parametrize(
    ("columns", "rows", "needs"),
    [
        (80, 24, "80x45"),
        (80, 44, "80x45"),
        (74, 60, "75x45"),
        (60, 24, "75x45"),
        (100, 43, "100x44"),
    ],
)
def test_where_it_does_not_fit_the_size_is_told(
    columns: int, rows: int, needs: str, environ: dict[str, str]
) -> None:
    """One line with the exact size and two ways out; nothing of a code is drawn."""
    with Terminal(*PASTE, environ=environ, columns=columns, rows=rows) as terminal:
        _settled(terminal)
        assert not re.search("[▀▄]", terminal.text)
        told = " ".join(terminal.text.split())
        assert f"QR code: needs {needs}, has {columns}x{rows}; zoom out (Ctrl -)" in told
        assert "or try --device-auth" in told
    if columns >= 75:
        width, height = map(int, needs.split("x"))
        with Terminal(*PASTE, environ=environ, columns=width, rows=height) as terminal:
            url = _settled(terminal)
            assert _codes(terminal) == [url]


def _resize(terminal: Terminal, columns: int, rows: int) -> None:
    """Give the terminal another size, as a window manager would."""
    terminal.screen.resize(rows, columns)
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, size)


@pytest.mark.parametrize("ended_input", [False, True], ids=["question", "waiting line"])
def test_a_larger_terminal_gets_its_code_at_once(
    ended_input: bool, environ: dict[str, str]
) -> None:
    """The window is enlarged while it waits: the code appears above the question, once."""
    arguments = ("login", "--port", str(free_port())) if ended_input else PASTE
    with Terminal(*arguments, environ=environ) as terminal:
        url = _settled(terminal)
        if ended_input:
            terminal.send("\x04")
            terminal.read_until("Waiting for the browser")
        assert not re.search("[▀▄]", terminal.text)
        _resize(terminal, 120, 55)
        deadline = time.monotonic() + 5
        while _codes(terminal) != [url]:
            assert time.monotonic() < deadline, terminal.lines
            terminal.watch(0.2)
        drawn = terminal.text.count("▀")
        _resize(terminal, 130, 60)
        for _ in range(8):
            terminal.watch(0.2)
        assert terminal.text.count("▀") == drawn
        last = [line for line in terminal.lines if line][-1]
        assert last.startswith("Waiting for" if ended_input else PROMPT)


def test_never_is_never(environ: dict[str, str]) -> None:
    """Neither a code nor a word about it, however large the terminal is or becomes."""
    with Terminal(*PASTE, "--qr", "never", environ=environ, columns=80) as terminal:
        _settled(terminal)
        _resize(terminal, 200, 100)
        for _ in range(8):
            terminal.watch(0.2)
        assert not re.search("[▀▄]", terminal.text)
        assert "QR" not in terminal.text


def test_always_is_drawn_even_so(environ: dict[str, str]) -> None:
    """Too small by far: drawn all the same, to be scrolled to; its history can be read."""
    with Terminal(*PASTE, "--qr", "always", environ=environ) as terminal:
        url = _settled(terminal)
        tall = Terminal.replay(terminal.output, 80, 60)
        assert read(picture_of(tall)) == [url]


def test_always_overrules_no_color(environ: dict[str, str]) -> None:
    """An option of this very call counts more than a variable."""
    environ["NO_COLOR"] = "1"
    arguments = (*PASTE, "--qr", "always")
    with Terminal(*arguments, environ=environ, columns=120, rows=50) as terminal:
        url = _settled(terminal)
        assert "48;5;231" in terminal.text
        assert _codes(terminal, LIGHT) == [url]


@pytest.mark.parametrize(("ground", "theme"), [("15;0", DARK), ("0;15", LIGHT), ("", DARK)])
def test_without_colours_the_ground_decides(
    ground: str, theme: Theme, environ: dict[str, str]
) -> None:
    """NO_COLOR: glyphs alone, light ink on dark unless COLORFGBG says otherwise, and a doubt."""
    environ |= {"NO_COLOR": "1", "COLORFGBG": ground}
    with Terminal(*PASTE, environ=environ, columns=120, rows=55) as terminal:
        url = _settled(terminal)
        assert "48;5;" not in terminal.text
        assert _codes(terminal, theme) == [url]
        assert "Without NO_COLOR" in " ".join(terminal.lines)


def test_a_doubtful_locale_is_told(environ: dict[str, str]) -> None:
    """LANG=C: Python writes UTF-8, and whether it arrives as such is unknown."""
    environ["LANG"] = "C"
    with Terminal(*PASTE, environ=environ, columns=120, rows=55) as terminal:
        url = _settled(terminal)
        assert _codes(terminal) == [url]
        assert "Garbled? Set LANG=C.UTF-8" in " ".join(terminal.lines)


def test_without_block_glyphs_blanks_are_used(environ: dict[str, str]) -> None:
    """An encoding that has none: coloured blanks where there is room, else the size they need."""
    environ["PYTHONIOENCODING"] = "latin-1"
    with Terminal(*PASTE, environ=environ, columns=160, rows=90) as terminal:
        url = _settled(terminal)
        assert _codes(terminal) == [url]
    with Terminal(*PASTE, environ=environ, columns=120, rows=55) as terminal:
        _settled(terminal)
        assert "QR code: needs 150x79, has 120x55" in " ".join(terminal.text.split())


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_one_line(term: str, environ: dict[str, str]) -> None:
    """No colours, no code: the reason in one line."""
    environ["TERM"] = term
    with Terminal(*PASTE, "--qr", "always", environ=environ, columns=120, rows=60) as terminal:
        _settled(terminal)
        assert terminal.text.count("No QR code: it needs a terminal that shows colours.") == 1
        assert not re.search("[▀▄\x1b]", terminal.text)


def test_a_log_gets_one_line(environ: dict[str, str]) -> None:
    """Standard error is no terminal."""
    outcome = run(*PASTE, environ=environ, stdin="")
    assert outcome.err.count("No QR code") == 1
    assert not re.search("[▀▄\x1b]", outcome.err)


@pytest.mark.parametrize("wrapper", ["tmux", "screen"])
def test_inside_a_multiplexer(wrapper: str, environ: dict[str, str], tmp_path: Path) -> None:
    """tmux and screen translate the colours for the terminal outside, and it is read there."""
    if shutil.which(wrapper) is None:
        pytest.skip(f"{wrapper} is not installed")
    inner = f"{COMMAND} {' '.join(PASTE)}"
    name = f"qr{os.getpid()}"
    wrapped = {
        "tmux": f"tmux -L {name} -f /dev/null new-session",
        "screen": f"screen -U -T screen-256color -c /dev/null -S {name} sh -c",
    }[wrapper]
    os.chmod(tmp_path, 0o700)
    environ |= {"SCREENDIR": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}
    command = [*wrapped.split(), inner]
    with Terminal(environ=environ, command=command, columns=120, rows=52) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            terminal.watch(0.5)
            found = re.search(
                r"http://127\S+/oauth/authorize\?\S+",
                "".join(line.ljust(120) for line in terminal.lines),
            )
            assert found
            assert _codes(terminal) == [found[0]]
        finally:
            end = (
                ["tmux", "-L", name, "kill-server"]
                if wrapper == "tmux"
                else ["screen", "-S", name, "-X", "quit"]
            )
            subprocess.run(end, env=environ, capture_output=True, check=False)


def test_in_a_small_pane_the_pane_is_to_be_enlarged(environ: dict[str, str]) -> None:
    """Zooming out is not the nearest way inside tmux."""
    environ["TMUX"] = "/tmp/tmux-0/default,1,0"
    with Terminal(*PASTE, environ=environ) as terminal:
        _settled(terminal)
        assert "enlarge the pane, or try --device-auth" in " ".join(terminal.text.split())


# The picture file.


@pytest.mark.parametrize("name", ["code.png", "code.SVG", "a folder/code.png"])
def test_a_picture_file_is_written_privately(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """0600 whatever the umask: it carries the state. An older picture is replaced."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("an older picture")
    path.chmod(0o644)
    outcome = run(*PASTE, "--qr-file", str(path), environ=environ, stdin="")
    assert f"The QR code is in {path}" in outcome.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    start = path.read_bytes()[:8]
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<svg")
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("name", "exit_code", "phrase"),
    [
        ("code.gif", 2, "--qr-file writes .png or .svg"),
        ("code", 2, "--qr-file writes .png or .svg"),
        ("missing/code.png", 6, "cannot be written: No such file"),
    ],
)
def test_a_picture_that_cannot_be_written_ends_it_early(
    name: str, exit_code: int, phrase: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Before the address is shown: whoever asked for the picture has nothing else."""
    outcome = run(*PASTE, "--qr-file", str(tmp_path / name), environ=environ, stdin="")
    assert outcome.exit_code == exit_code
    assert phrase in outcome.err
    assert "authorize?" not in outcome.err


def test_an_unknown_mode_is_wrong_usage() -> None:
    """The four words, and no others."""
    outcome = run(*PASTE, "--qr", "sometimes", environ=environment("/nonexistent", None))
    assert outcome.exit_code == 2
    assert "auto, always, never or graphics" in outcome.err


# Pictures in terminals that are known to show them (drawn for real in test_qr_terminals.py).


@pytest.mark.parametrize(
    ("variables", "mark"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b_Ga=T,f=100,q=2,C=1,m="),
        ({"TERM": "foot"}, '\x1bP0;1;0q"1;1;231;231'),
        ({"LC_TERMINAL": "iTerm2"}, "\x1b]1337;File=inline=1;"),
    ],
)
def test_a_known_terminal_shows_a_picture_at_80_by_24(
    variables: dict[str, str], mark: str, environ: dict[str, str]
) -> None:
    """Address, picture and question fit on the smallest screen."""
    environ |= variables
    with Terminal(*PASTE, environ=environ, cell=(8, 17)) as terminal:
        url = _settled(terminal)
        assert mark in terminal.text
        assert terminal.text.rindex(url) < terminal.text.index(mark)
        assert terminal.text.index(mark) < terminal.text.rindex(PROMPT)
        assert not re.search("[▀▄]", terminal.text)


def test_graphics_can_be_forced(environ: dict[str, str]) -> None:
    """An unknown terminal gets sixels if somebody says so, and never without."""
    for option, drawn in (("graphics", True), ("auto", False)):
        with Terminal(*PASTE, "--qr", option, environ=environ, cell=(8, 17)) as terminal:
            _settled(terminal)
            assert ("\x1bP0;1;0q" in terminal.text) is drawn
