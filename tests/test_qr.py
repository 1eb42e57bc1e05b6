"""The code itself and its drawings: what is drawn is read, and it is the address that was given."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.oauth.provider import CODEX, Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.terminal.qr import drawing
from headless_login.terminal.qr.capabilities import known_protocol
from headless_login.terminal.qr.drawing import Look, choose, forced, forced_picture, least
from headless_login.terminal.qr.matrix import Matrix, matrix_of
from headless_login.terminal.qr.pictures import PROTOCOLS, picture, png, svg
from tests.support.scanning import DARK, LIGHT, Theme, picture_of, pixels_of_png, read

URL = AuthorizationRequest(CODEX).url
DEVICE = "https://auth.openai.com/codex/device"
TEXTS = {"authorize": URL, "device": DEVICE}  # by names, because the address is a random one


def _screen(text: str, columns: int, rows: int) -> pyte.Screen:
    screen = pyte.Screen(columns, rows)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(text)
    return screen


def _matrix(text: str) -> Matrix:
    matrix = matrix_of(text)
    assert matrix is not None
    return matrix


def test_the_version_is_known() -> None:
    """73 modules for the authorize URL, whatever its random values; 29 for the device page."""
    assert {len(_matrix(AuthorizationRequest(CODEX).url)) for _ in range(20)} == {73}
    assert len(_matrix(DEVICE)) == 29
    assert len(drawing.half_blocks(_matrix(DEVICE), 4)) == 19
    # Of more than a QR code holds there is none.
    assert [matrix_of(text) for text in ("x" * 2954, "x" * 5000, "é" * 2000)] == [None] * 3


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=700) | st.from_regex("[0-9A-Z]+"))
@settings(max_examples=150, deadline=None)
def test_the_version_is_the_smallest(text: str) -> None:
    """Counted without writing the bits, it is what qrcode's own count comes to."""
    from qrcode.main import QRCode

    code = QRCode(error_correction=1, border=0, mask_pattern=2)
    code.add_data(text.encode())
    code.make(fit=True)
    assert matrix_of(text) == [[bool(module) for module in row] for row in code.modules]


WATCH = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        assert name.partition('.')[0] not in {'PIL', 'asyncio', 'typer', 'requests'}, name
sys.meta_path.insert(0, Finder())
from headless_login.terminal.qr.matrix import matrix_of
from headless_login.terminal.qr.pictures import png
png(matrix_of('x'))
assert 'PIL' not in sys.modules
"""


def test_nothing_heavy_is_loaded() -> None:
    """For matrix and picture neither a client is sought nor Pillow, which qrcode would load."""
    assert matrix_of(URL) == matrix_of(URL)
    subprocess.run([sys.executable, "-c", WATCH], check=True)


# The drawings, read by two decoders.

DRAWINGS: dict[str, Callable[[Matrix], list[str]]] = {
    **{f"full {zone}": partial(drawing.full_blocks, quiet_zone=zone) for zone in (4, 2, 1)},
    **{f"half {zone}": partial(drawing.half_blocks, quiet_zone=zone) for zone in (4, 2, 1)},
}


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", DRAWINGS)
def test_what_is_drawn_is_read(name: str, text: str, theme: Theme) -> None:
    """By two decoders, on dark and light grounds; nothing wraps, and full blocks are ASCII."""
    matrix = _matrix(TEXTS[text])
    lines = DRAWINGS[name](matrix)
    screen = _screen("\n".join(lines) + "\n", 200, 110)
    assert read(picture_of(screen, theme)) == [TEXTS[text]]
    assert all(line.endswith("\x1b[0m") for line in lines)
    side, is_full = len(matrix) + 2 * int(name[-1]), name.startswith("full")
    for row in range(len(lines)):
        used = [x for x in range(200) if screen.buffer[row][x].bg != "default"]
        assert used == list(range(2 * side if is_full else side))
    assert "".join(lines).isascii() is is_full


def test_the_decoders_do_not_forgive() -> None:
    """Controls: without a quiet zone on a dark ground, inverted or cut off, nothing is read."""
    matrix = _matrix(URL)
    half = "\n".join(drawing.half_blocks(matrix, 2))
    spoiled = {
        "no quiet zone": ("\n".join(drawing.half_blocks(matrix, 0)), 200, 60),
        "a column short": (half, 76, 90),
        "scrolled": (half + "\n" * 6, 200, 38),
        "inverted": ("\n".join(drawing.plain_half_blocks(matrix, 2, on_light=True)), 200, 60),
    }
    for name, (text, columns, rows) in spoiled.items():
        assert read(picture_of(_screen(text, columns, rows))) == [], name


# Any address at all.

_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"


@given(
    st.from_regex(r"[a-z0-9]{1,60}", fullmatch=True),
    st.text(_SAFE, min_size=1, max_size=400),
    st.text(_SAFE + " :/", min_size=1, max_size=400),
    st.lists(st.text(_SAFE, min_size=1, max_size=40), max_size=10),
    st.sampled_from([(60, 20), (80, 24), (80, 45), (120, 50), (240, 120), (400, 300)]),
)
@settings(max_examples=60, deadline=None)
def test_any_request_is_drawn_readably_or_not_at_all(
    host: str, client: str, scope: str, workspaces: list[str], size: tuple[int, int]
) -> None:
    """Either a code that decodes to the equal request, or none; never a broken one."""
    provider = Provider(f"https://{host}.example", client, scope)
    url = AuthorizationRequest(provider, redirect_uri_for(1457), tuple(workspaces)).url
    matrix = matrix_of(url)
    if matrix is None:
        assert len(url) > 2900
        return
    columns, rows = size
    drawn = choose(matrix, Look(columns, rows), rows - 1)
    if drawn is None:
        needed = least(matrix, Look(columns, rows))
        assert needed.columns > columns or needed.rows > rows - 1
        return
    seen = read(picture_of(_screen(drawn.draw(), columns, rows)))
    assert [parse_qs(urlsplit(text).query) for text in seen] == [parse_qs(urlsplit(url).query)]


# The choice.

SMALL, LARGE = Look(80, 24), Look(80, 60)
KITTY = Look(80, 24, protocol="kitty", cell=(8, 17))
CHOICES = [
    # Text, terminal, rows that are free; columns and rows of the choice.
    *(("device", SMALL, 19, (37, 19)), ("device", SMALL, 18, (33, 17))),
    *(("device", SMALL, 16, (31, 16)), ("device", SMALL, 15, None)),
    *(("device", Look(74, 60), 40, (74, 37)), ("device", Look(73, 60), 40, (66, 33))),
    *(("device", Look(65, 60), 40, (37, 19)), ("device", Look(36, 60), 40, (33, 17))),
    *(("device", Look(30, 60), 40, None), ("authorize", Look(162, 90), 81, (162, 81))),
    *(("authorize", Look(120, 50), 41, (81, 41)), ("authorize", Look(80, 50), 41, (77, 39))),
    *(("authorize", Look(80, 45), 38, (75, 38)), ("authorize", Look(74, 60), 50, None)),
    ("authorize", SMALL, 17, None),
    # Doubtful and missing glyphs; no colours.
    ("device", SMALL._replace(blocks="unknown"), 19, (37, 19)),
    ("device", SMALL._replace(blocks="no"), 23, None),
    ("device", Look(80, 40, blocks="no"), 33, (66, 33)),
    ("device", Look(80, 40, blocks="no"), 32, (62, 31)),
    ("device", LARGE._replace(colours=False), 50, (37, 19)),
    ("device", LARGE._replace(colours=False, blocks="no"), 50, None),
    # Pictures, where nothing else fits.
    *(("authorize", KITTY, 17, (29, 14)), ("authorize", KITTY, 13, None)),
    ("authorize", SMALL._replace(protocol="sixel", cell=(16, 34)), 17, (34, 16)),
    ("authorize", SMALL._replace(protocol="kitty"), 17, None),
    ("authorize", KITTY._replace(rows=45), 38, (75, 38)),
]


# A quiet zone of one module, and pictures: where they are not wanted nothing is chosen.
SMALLEST = {(31, 16), (62, 31), (75, 38), (29, 14), (34, 16)}


@pytest.mark.parametrize(("text", "look", "rows", "expected"), CHOICES)
def test_the_best_that_fits_is_chosen(
    text: str, look: Look, rows: int, expected: tuple[int, int] | None
) -> None:
    """At every boundary: full blocks, half blocks, a smaller quiet zone, a picture, nothing."""
    matrix = _matrix(TEXTS[text])
    drawn = (choose(matrix, look, rows), choose(matrix, look, rows, smallest=False))
    sizes = [each and (each.columns, each.rows) for each in drawn]
    assert sizes == [expected, None if expected in SMALLEST else expected]


FORCED = [
    ("authorize", Look(20, 5), 39, "^$"),
    ("authorize", Look(20, 5, blocks="no"), 77, "^$"),
    ("device", SMALL._replace(blocks="unknown"), 17, "UTF-8"),
    ("device", SMALL._replace(colours=False), 17, "NO_COLOR"),
]


@pytest.mark.parametrize(("text", "look", "rows", "doubt"), FORCED)
def test_a_forced_code_is_drawn_even_so(text: str, look: Look, rows: int, doubt: str) -> None:
    """In half blocks, or in blanks where those cannot be shown; a doubt is told."""
    drawn = forced(_matrix(TEXTS[text]), look)
    assert drawn.rows == rows
    assert re.search(doubt, drawn.doubt)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_png_is_read(text: str) -> None:
    """Ten pixels a module and the full quiet zone."""
    pixels = pixels_of_png(png(_matrix(text)))
    assert pixels.shape == ((len(_matrix(text)) + 8) * 10,) * 2
    assert read(pixels) == [text]


def test_an_svg_covers_exactly_the_dark_modules() -> None:
    """Runs of dark modules on a light ground, at the place that the quiet zone leaves."""
    matrix = _matrix(DEVICE)
    document = svg(matrix)
    seen = set()
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", document):
        seen |= {(int(x) - 4 + i, int(y) - 4) for i in range(int(length))}
    assert seen == {(x, y) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark}
    assert 'viewBox="0 0 37 37"' in document


NAMED = {
    "kitty": "TERM=xterm-kitty | TERM=xterm-ghostty | TERM=xterm KITTY_WINDOW_ID=1 | "
    "KONSOLE_VERSION=221203",
    "iterm2": "TERM_PROGRAM=iTerm.app | LC_TERMINAL=iTerm2 | TERM_PROGRAM=WezTerm",
    "sixel": "TERM=foot | TERM=foot-extra | TERM=mlterm",
    None: " | TERM=xterm-256color | TERM_PROGRAM=vscode | KONSOLE_VERSION=200800 | "
    "KONSOLE_VERSION=x | TERM=xterm-kitty TMUX=/tmp/tmux-0/default,1,0 | TERM=foot STY=1.pts-0.h",
}


@pytest.mark.parametrize("protocol", NAMED)
def test_only_terminals_that_say_so_get_pictures(protocol: str | None) -> None:
    """By the names that they give themselves; a multiplexer would swallow the picture."""
    for variables in NAMED[protocol].split(" | "):
        environ = dict(each.split("=") for each in variables.split())
        assert known_protocol(environ) == protocol, environ


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_picture_makes_its_room_first_and_comes_back(protocol: str) -> None:
    """Rows first, the cursor saved and restored: where the terminal leaves it does not matter."""
    drawn = picture(_matrix(URL), protocol, 3, 2, 14)
    assert drawn.startswith("\n" * 14 + "\x1b[14A\x1b7")
    assert drawn.endswith("\x1b8\x1b[14B")
    if protocol == "kitty":
        assert ",q=2" in drawn  # it never replies into the prompt
        assert all(len(part) <= 4096 + 40 for part in drawn.split("\x1b\\"))


def test_a_picture_is_forced_by_sixels() -> None:
    """Where the terminal is not known, and however small, but never nothing."""
    matrix = _matrix(URL)
    drawn = forced_picture(matrix, Look(80, 24, cell=(8, 16)), 10)
    assert drawn is not None
    assert "\x1bP0;1;0q" in drawn.draw()
    assert forced_picture(matrix, Look(80, 24, cell=(8, 16)), 5) is None
