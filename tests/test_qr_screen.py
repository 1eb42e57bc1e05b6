"""The code on the screen of the real command: address, code and question together, and readable."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from headless_login.practice.person import approve
from tests.support.displays import Display, Window
from tests.support.listening import free_port
from tests.support.machine import has_mode
from tests.support.program import COMMAND, PROMPT, Terminal, Variables, environment, run, url_in
from tests.support.scanning import DARK, LIGHT, Theme, picture_of, read, read_by_zbar, read_by_zxing

PASTE = ("login", "--paste-redirect")
BLOCKS = "[▀▄]"


def _codes(terminal: Terminal, theme: Theme = DARK) -> list[str]:
    return read(picture_of(terminal.screen, theme))


def _assert_in_order(terminal: Terminal, url: str) -> None:
    """Fail unless the whole address stands above and the question below the code."""
    lines, columns = terminal.lines, terminal.screen.columns
    pieces = [url[start : start + columns] for start in range(0, len(url), columns)]
    first = lines.index(pieces[0])
    assert lines[first : first + len(pieces)] == pieces
    drawn = [y for y, line in enumerate(lines) if re.search(BLOCKS, line)]
    asked = max(y for y, line in enumerate(lines) if line.startswith(PROMPT))
    assert first + len(pieces) - 1 < min(drawn)
    assert max(drawn) < asked


def _sized(environ: Variables, variables: str, mode: str, size: str) -> Terminal:
    """Run it with `NAME=value` variables and `--qr` in a terminal of `80x24`; it tells its cell."""
    environ = environ | dict(each.split("=") for each in variables.split())
    columns, rows = map(int, size.split("x"))
    arguments = (*PASTE, "--qr", mode)
    return Terminal(*arguments, environ=environ, columns=columns, rows=rows, cell=(8, 17))


COLOURED, PLAIN = "48;5;231", "^(?!.*48;5;)"
NOTHING, NO_ESCAPES = f"^(?!.*({BLOCKS}|48;5;|\x1bP))", "^[^\x1b]*$"
SMALL = "QR code: needs {}; zoom out (Ctrl -), or try --device-auth"
NO_COLOURS = "No QR code: it needs a terminal that shows colours."
SCREENS: list[tuple[str, str, str, Theme | None, str, str]] = [
    # Variables, --qr, size, theme (None: no code), what is in the output, words on the screen.
    ("", "auto", "75x45", DARK, COLOURED, ""),
    ("", "auto", "80x45", LIGHT, COLOURED, ""),
    ("", "auto", "100x44", DARK, COLOURED, ""),
    ("", "auto", "120x50", LIGHT, COLOURED, "page will fail"),
    ("", "auto", "200x60", DARK, COLOURED, "page will fail"),
    ("", "auto", "200x100", LIGHT, COLOURED, "page will fail"),
    ("NO_COLOR=1", "always", "120x50", LIGHT, COLOURED, ""),
    ("NO_COLOR=1 COLORFGBG=15;0", "auto", "120x55", DARK, PLAIN, "Without NO_COLOR"),
    ("NO_COLOR=1 COLORFGBG=0;15", "auto", "120x55", LIGHT, PLAIN, "Without NO_COLOR"),
    ("NO_COLOR=1 COLORFGBG=", "auto", "120x55", DARK, PLAIN, "Without NO_COLOR"),
    ("LANG=C", "auto", "120x55", DARK, COLOURED, "Garbled? Set LANG=C.UTF-8"),
    ("PYTHONIOENCODING=latin-1", "auto", "160x90", DARK, COLOURED, ""),
    ("", "auto", "80x24", None, NOTHING, SMALL.format("80x45, has 80x24")),
    ("", "auto", "80x44", None, NOTHING, SMALL.format("80x45, has 80x44")),
    ("", "auto", "74x60", None, NOTHING, SMALL.format("75x45, has 74x60")),
    ("", "auto", "60x24", None, NOTHING, SMALL.format("75x45, has 60x24")),
    ("", "auto", "100x43", None, NOTHING, SMALL.format("100x44, has 100x43")),
    ("PYTHONIOENCODING=latin-1", "auto", "120x55", None, NOTHING, "needs 150x79, has 120x55"),
    ("TMUX=/tmp/tmux-0/x,1,0", "auto", "80x24", None, NOTHING, "enlarge the pane, or try --device"),
    ("TERM=dumb", "always", "120x60", None, NO_ESCAPES, NO_COLOURS),
    ("TERM=unknown", "always", "120x60", None, NO_ESCAPES, NO_COLOURS),
]


@pytest.mark.parametrize(("extra", "mode", "size", "theme", "out", "words"), SCREENS)
def test_the_screen_shows_the_code_or_says_why_not(
    extra: str, mode: str, size: str, theme: Theme | None, out: str, words: str, environ: Variables
) -> None:
    """Address, code and question stand together, or one line says why there is no code."""
    with _sized(environ, extra, mode, size) as terminal:
        url = terminal.read_question()
        assert re.search(out, terminal.text, re.DOTALL)
        assert _codes(terminal, theme or DARK) == ([url] if theme else [])
        assert not words or " ".join(" ".join(terminal.lines).split()).count(words) == 1
        assert "page will fail" in " ".join(terminal.text.split())
        shown = "".join(terminal.screen.display)
        assert url in shown
        assert PROMPT in shown
        if re.search(BLOCKS, shown):
            _assert_in_order(terminal, url)


def test_a_log_gets_one_line(environ: Variables) -> None:
    """Standard error is no terminal."""
    outcome = run(*PASTE, environ=environ, stdin="")
    assert outcome.err.count("No QR code") == 1
    assert not re.search(f"{BLOCKS}|\x1b", outcome.err)


def _let_it_see_its_size(terminal: Terminal, live_line: str) -> None:
    """Have what is live on the screen redrawn twice: the size is looked at after each time."""
    if live_line == PROMPT:
        terminal.send("\x15")
        for count in (2, 4):
            terminal.send("xx")
            terminal.read_screen_until(rf"\({count} characters\)")
    else:
        before = terminal.text.count(live_line)
        terminal.until(lambda: terminal.text.count(live_line) >= before + 2, "other time")


@pytest.mark.parametrize("live_line", [PROMPT, "Waiting for the browser"])
def test_a_larger_terminal_gets_its_code_at_once(live_line: str, environ: Variables) -> None:
    """The window is enlarged while it waits: the code appears above the question, once."""
    arguments = PASTE if live_line == PROMPT else ("login", "--port", str(free_port()))
    with Terminal(*arguments, environ=environ) as terminal:
        url = terminal.read_question()
        if live_line != PROMPT:
            terminal.send("\x04")
            terminal.read_until(live_line)
        assert not re.search(BLOCKS, terminal.text)
        terminal.resize(120, 55)
        terminal.until(lambda: _codes(terminal) == [url], "code")
        drawn = terminal.text.count("▀")
        terminal.resize(130, 60)
        _let_it_see_its_size(terminal, live_line)
        assert terminal.text.count("▀") == drawn
        assert [line for line in terminal.lines if line][-1].startswith(live_line)


def test_never_is_never(environ: Variables) -> None:
    """Neither a code nor a word about it, however large the terminal is or becomes."""
    with _sized(environ, "", "never", "80x24") as terminal:
        url = terminal.read_question()
        terminal.resize(200, 100)
        _let_it_see_its_size(terminal, PROMPT)
        assert not re.search(f"{BLOCKS}|QR", terminal.text.replace(url, ""))


def test_always_is_drawn_even_so(environ: Variables) -> None:
    """Too small by far: drawn all the same, to be scrolled to; its history can be read."""
    with _sized(environ, "", "always", "80x24") as terminal:
        url = terminal.read_question()
        tall = pyte.Screen(80, 60)
        pyte.ByteStream(tall).feed(terminal.output)
        assert read(picture_of(tall)) == [url]


@pytest.mark.parametrize("wrapper", ["tmux", "screen"])
def test_inside_a_multiplexer(wrapper: str, environ: Variables, tmp_path: Path) -> None:
    """Outside of tmux and screen the code is read; a paste goes through them, and is not shown."""
    if shutil.which(wrapper) is None:
        pytest.skip(f"{wrapper} is not installed")
    start, end = {
        "tmux": (f"-f {os.devnull} new-session", "kill-server"),
        "screen": (f"-U -T screen-256color -c {os.devnull} sh -c", "-X quit"),
    }[wrapper]
    # The tests' own session; its sockets are in the folder.
    own = [wrapper, "-L" if wrapper == "tmux" else "-S", "qr"]
    tmp_path.chmod(0o700)
    environ |= {"SCREENDIR": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}

    def ask(*words: str) -> str:
        command = [*own, *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20)
        return done.stdout

    command = [*own, *start.split(), f"{COMMAND} {' '.join(PASTE)}; cat"]
    with Terminal(environ=environ, command=command, columns=120, rows=52) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            terminal.until(lambda: _codes(terminal), "code")
            (url,) = _codes(terminal)
            assert url_in("\n".join(re.split(r" +", "".join(terminal.screen.display)))) == url
            answer = approve(url)
            if wrapper == "tmux":
                assert url_in(ask("capture-pane", "-p", "-J")) == url
                ask("set-buffer", "--", answer)
                ask("paste-buffer", "-p")  # without marks where the prompt has not asked for them
                ask("send-keys", "Enter")
            else:
                terminal.paste(answer)
            terminal.read_screen_until("Signed in to Codex|from now on")
            assert answer.partition("code=")[2].partition("&")[0] not in terminal.text
        finally:
            ask(*end.split())


@pytest.mark.parametrize("name", ["code.png", "code.SVG", "a folder/code.png"])
def test_a_picture_file_is_written_privately(name: str, environ: Variables, tmp_path: Path) -> None:
    """0600 whatever the umask: it carries the state. An older picture is replaced."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("an older picture")
    path.chmod(0o644)
    outcome = run(*PASTE, "--qr-file", str(path), environ=environ, stdin="")
    assert f"The QR code is in {path}" in outcome.err
    assert has_mode(path, 0o600)
    start = path.read_bytes()[:8]
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<svg")
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


MISSING = "" if sys.platform == "win32" else os.strerror(errno.ENOENT)
IMPOSSIBLE = [
    ("--qr-file {}/code.gif", 2, "--qr-file writes .png or .svg"),
    ("--qr-file {}/code", 2, "--qr-file writes .png or .svg"),
    ("--qr-file {}/missing/code.png", 6, f"cannot be written: {MISSING}"),
    ("--qr sometimes", 2, "auto, always, never or graphics"),
]


@pytest.mark.parametrize(("options", "exit_code", "phrase"), IMPOSSIBLE)
def test_what_cannot_be_drawn_ends_it_before_the_address(
    options: str, exit_code: int, phrase: str, environ: Variables, tmp_path: Path
) -> None:
    """A person who asked for the picture has nothing else; `--qr` has four words, no others."""
    outcome = run(*PASTE, *options.format(tmp_path).split(), environ=environ)
    assert outcome.exit_code == exit_code
    assert phrase in outcome.err
    assert "authorize?" not in outcome.err


PICTURES = [
    ("TERM=xterm-kitty", "auto", "\x1b_Ga=T,f=100,q=2,C=1,m="),
    ("TERM=foot", "auto", '\x1bP0;1;0q"1;1;231;231'),
    ("LC_TERMINAL=iTerm2", "auto", "\x1b]1337;File=inline=1;"),
    ("", "graphics", "\x1bP0;1;0q"),  # an unknown terminal gets sixels if it is told to
]


@pytest.mark.parametrize(("variables", "mode", "mark"), PICTURES)
def test_a_picture_is_shown(variables: str, mode: str, mark: str, environ: Variables) -> None:
    """By terminals that are known: with address and question it fits on the smallest screen."""
    with _sized(environ, variables, mode, "80x24") as terminal:
        url = terminal.read_question()
        text = terminal.text
        assert text.rindex(url) < text.index(mark) < text.rindex(PROMPT)
        assert not re.search(BLOCKS, text)


# Real terminals in windows: glyphs, colours and pictures as they draw them.

XTERM = "xterm -u8 -fa 'DejaVu Sans Mono' -b 2 +sb -geometry {}+0+0 -fs {} -e"
KITTY = """
kitty --config NONE -o font_size=9 -o 'font_family=DejaVu Sans Mono' -o remember_window_size=no
    -o update_check_interval=0 -o initial_window_width={}c -o initial_window_height={}c
"""
WINDOWS = {
    "xterm, dark": XTERM.format("120x50", "8 -bg black -fg grey"),
    "xterm, light": XTERM.format("120x50", "8 -bg white -fg black"),
    "xterm, 80 by 45": XTERM.format("80x45", "9"),
    "xterm, graphics at 80 by 24": XTERM.format("80x24", "10 -ti vt340"),
    "kitty, half blocks": KITTY.format(120, 52),
    "kitty, a picture at 80 by 24": KITTY.format(80, 24),
}


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """One display for all windows, one after the other."""
    with Display(tmp_path_factory.mktemp("display")) as running:
        yield running


@pytest.mark.parametrize("case", WINDOWS)
def test_a_camera_reads_it(case: str, display: Display, environ: Variables, tmp_path: Path) -> None:
    """Both decoders read the very address off the window's pixels."""
    told = tmp_path / "events"  # in which the address is, which cannot be read off a window
    mode = "graphics" if "graphics" in case else "auto"
    script = f"exec {COMMAND} {' '.join(PASTE)} --qr {mode} --json > {told}"
    del environ["TERM"]  # the terminal itself says what that is
    inside = [f"{name}={value}" for name, value in environ.items()]
    outside = environment(None, None, HOME=str(tmp_path))
    command = [*shlex.split(WINDOWS[case]), "env", *inside, "sh", "-c", script]

    def address() -> str:
        lines = told.read_text().splitlines() if told.exists() else []
        return str(json.loads(lines[0])["url"]) if lines else ""

    with Window(display, command, outside) as running:  # the last one's picture may still be there
        picture = running.picture(lambda seen: read_by_zbar(seen) == [address()])
        assert read_by_zxing(picture) == [address()]
