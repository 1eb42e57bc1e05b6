"""The code itself and its drawings: what is drawn is read, and it is the address that was given."""

from __future__ import annotations

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
from headless_login.terminal.qr.capabilities import known_protocol
from headless_login.terminal.qr.drawing import (
    Look,
    choose,
    forced,
    forced_picture,
    full_blocks,
    half_blocks,
    least,
    plain_half_blocks,
)
from headless_login.terminal.qr.matrix import Matrix, matrix_of
from headless_login.terminal.qr.pictures import PROTOCOLS, picture, png, svg
from tests.support.scanning import DARK, LIGHT, Theme, picture_of, pixels_of_png, read

URL = AuthorizationRequest(CODEX).url
DEVICE = "https://auth.openai.com/codex/device"


def _screen(text: str, columns: int, rows: int) -> pyte.Screen:
    screen = pyte.Screen(columns, rows)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(text)
    return screen


def _size(text: str) -> int:
    matrix = matrix_of(text)
    assert matrix is not None
    return len(matrix)


# The matrix.


def test_the_authorize_url_is_version_14() -> None:
    """73 modules with `+` for blanks and a state of 22 characters, whatever the random values."""
    assert {_size(AuthorizationRequest(CODEX).url) for _ in range(20)} == {73}


def test_the_device_page_is_version_3() -> None:
    """29 modules: with a quiet zone of four 37 by 19 cells."""
    assert _size(DEVICE) == 29
    assert len(half_blocks(matrix_of(DEVICE) or [], 4)) == 19


@pytest.mark.parametrize("text", ["x" * 2954, "x" * 5000, "é" * 2000])
def test_too_long_a_text_has_no_code(text: str) -> None:
    """More than a QR code holds is told, not raised."""
    assert matrix_of(text) is None


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=700) | st.from_regex("[0-9A-Z]+"))
@settings(max_examples=150, deadline=None)
def test_the_version_is_the_smallest(text: str) -> None:
    """Counted without writing the bits, it is what qrcode's own count comes to."""
    from qrcode.main import QRCode

    code = QRCode(error_correction=1, border=0, mask_pattern=2)
    code.add_data(text.encode())
    code.make(fit=True)
    assert matrix_of(text) == [[bool(module) for module in row] for row in code.modules]


def test_the_matrix_is_a_pure_function() -> None:
    """The same text gives the same modules, and nothing heavy is loaded for it."""
    assert matrix_of(URL) == matrix_of(URL)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom headless_login.terminal.qr.matrix import matrix_of\n"
            "matrix_of('x')\nprint(' '.join(sorted({n.partition('.')[0] for n in sys.modules})))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"PIL", "asyncio", "typer", "requests"} & set(done.stdout.split())


def test_pillow_is_never_imported() -> None:
    """Not even where it is installed: qrcode would load it for pictures that nobody wants."""
    source = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        assert name.partition('.')[0] != 'PIL', 'it was imported'\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from headless_login.terminal.qr.matrix import matrix_of\n"
        "from headless_login.terminal.qr.pictures import png\n"
        "png(matrix_of('x'))\n"
        "assert 'PIL' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


# The drawings, read by two decoders.

DRAWINGS: dict[str, Callable[[Matrix], list[str]]] = {
    **{f"full {zone}": partial(full_blocks, quiet_zone=zone) for zone in (4, 2, 1)},
    **{f"half {zone}": partial(half_blocks, quiet_zone=zone) for zone in (4, 2, 1)},
}


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("text", [URL, DEVICE], ids=["authorize", "device"])
@pytest.mark.parametrize("name", DRAWINGS)
def test_what_is_drawn_is_read(name: str, text: str, theme: Theme) -> None:
    """On dark and light grounds, by ZXing and ZBar, without forgiveness for inverted colours."""
    lines = DRAWINGS[name](matrix_of(text) or [])
    screen = _screen("\n".join(lines) + "\n", 200, 110)
    assert read(picture_of(screen, theme)) == [text]


def test_the_decoders_do_not_forgive() -> None:
    """Controls: without a quiet zone on a dark ground, inverted or cut off, nothing is read."""
    matrix = matrix_of(URL) or []
    spoiled = {
        "no quiet zone": ("\n".join(half_blocks(matrix, 0)), 200, 60),
        "a column short": ("\n".join(half_blocks(matrix, 2)), 76, 90),
        "scrolled": ("\n".join(half_blocks(matrix, 2)) + "\n" * 6, 200, 38),
        "inverted": ("\n".join(plain_half_blocks(matrix, 2, on_light=True)), 200, 60),
    }
    for name, (text, columns, rows) in spoiled.items():
        assert read(picture_of(_screen(text, columns, rows))) == [], name


@pytest.mark.parametrize(("theme", "on_light"), [(DARK, False), (LIGHT, True)])
def test_without_colours_the_right_guess_is_read(theme: Theme, on_light: bool) -> None:
    """NO_COLOR: glyphs alone, whose polarity fits the ground."""
    lines = plain_half_blocks(matrix_of(DEVICE) or [], 4, on_light=on_light)
    assert "\x1b" not in "".join(lines)
    assert read(picture_of(_screen("\n".join(lines), 80, 24), theme)) == [DEVICE]


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_line_has_its_width_and_resets_its_colours(name: str) -> None:
    """Nothing wraps, nothing runs on to the edge, and full blocks are plain ASCII."""
    quiet_zone = int(name[-1])
    lines = DRAWINGS[name](matrix_of(DEVICE) or [])
    side = 29 + 2 * quiet_zone
    screen = _screen("\n".join(lines), 200, 60)
    assert all(line.endswith("\x1b[0m") for line in lines)
    for row in range(len(lines)):
        used = [x for x in range(200) if screen.buffer[row][x].bg != "default"]
        assert used == list(range(2 * side if name.startswith("full") else side))
    if name.startswith("full"):
        assert "".join(lines).isascii()


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
    drawing = choose(matrix, Look(columns, rows), rows - 1)
    if drawing is None:
        needed = least(matrix, Look(columns, rows))
        assert needed.columns > columns or needed.rows > rows - 1
        return
    seen = read(picture_of(_screen(drawing.draw(), columns, rows)))
    assert [parse_qs(urlsplit(text).query) for text in seen] == [parse_qs(urlsplit(url).query)]


# The choice.

CELLS = {"cell": (8, 16)}
CHOICES: list[tuple[str, Look, int, bool, tuple[int, int] | None]] = [
    # text, terminal, rows that are free, smallest allowed, columns and rows of the choice
    (DEVICE, Look(80, 24), 19, True, (37, 19)),
    (DEVICE, Look(80, 24), 18, True, (33, 17)),
    (DEVICE, Look(80, 24), 16, True, (31, 16)),
    (DEVICE, Look(80, 24), 16, False, None),
    (DEVICE, Look(80, 24), 15, True, None),
    (DEVICE, Look(74, 60), 40, True, (74, 37)),
    (DEVICE, Look(73, 60), 40, True, (66, 33)),
    (DEVICE, Look(65, 60), 40, True, (37, 19)),
    (DEVICE, Look(36, 60), 40, True, (33, 17)),
    (DEVICE, Look(30, 60), 40, True, None),
    (URL, Look(162, 90), 81, True, (162, 81)),
    (URL, Look(120, 50), 41, True, (81, 41)),
    (URL, Look(80, 50), 41, True, (77, 39)),
    (URL, Look(80, 45), 38, True, (75, 38)),
    (URL, Look(80, 45), 38, False, None),
    (URL, Look(74, 60), 50, True, None),
    (URL, Look(80, 24), 17, True, None),
    # Doubtful and missing glyphs; no colours.
    (DEVICE, Look(80, 24, blocks="unknown"), 19, True, (37, 19)),
    (DEVICE, Look(80, 24, blocks="no"), 23, True, None),
    (DEVICE, Look(80, 40, blocks="no"), 33, True, (66, 33)),
    (DEVICE, Look(80, 40, blocks="no"), 32, True, (62, 31)),
    (DEVICE, Look(80, 60, colours=False), 50, True, (37, 19)),
    (DEVICE, Look(80, 60, colours=False, blocks="no"), 50, True, None),
    # Pictures, where nothing else fits.
    (URL, Look(80, 24, protocol="kitty", cell=(8, 17)), 17, True, (29, 14)),
    (URL, Look(80, 24, protocol="kitty", cell=(8, 17)), 13, True, None),
    (URL, Look(80, 24, protocol="sixel", cell=(16, 34)), 17, True, (34, 16)),
    (URL, Look(80, 24, protocol="kitty", cell=(8, 17)), 17, False, None),
    (URL, Look(80, 24, protocol="kitty"), 17, True, None),
    (URL, Look(80, 45, protocol="kitty", cell=(8, 17)), 38, True, (75, 38)),
]


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: f"{case[1]} {case[2]} {case[3]}")
def test_the_best_that_fits_is_chosen(
    case: tuple[str, Look, int, bool, tuple[int, int] | None],
) -> None:
    """At every boundary: full blocks, half blocks, a smaller quiet zone, a picture, nothing."""
    text, look, rows, smallest, expected = case
    drawing = choose(matrix_of(text) or [], look, rows, smallest=smallest)
    assert (drawing and (drawing.columns, drawing.rows)) == expected


def test_a_forced_code_is_drawn_even_so() -> None:
    """In half blocks, or in blanks where those cannot be shown."""
    matrix = matrix_of(URL) or []
    assert forced(matrix, Look(20, 5)).rows == 39
    assert forced(matrix, Look(20, 5, blocks="no")).rows == 77


def test_doubts_are_told() -> None:
    """Where glyphs or colours are uncertain, the words below the code say what to do."""
    matrix = matrix_of(DEVICE) or []
    assert forced(matrix, Look(80, 24)).doubt == ""
    assert "UTF-8" in forced(matrix, Look(80, 24, blocks="unknown")).doubt
    assert "NO_COLOR" in forced(matrix, Look(80, 24, colours=False)).doubt


# Pictures.


@pytest.mark.parametrize("text", [URL, DEVICE], ids=["authorize", "device"])
def test_a_png_is_read(text: str) -> None:
    """Ten pixels a module and the full quiet zone."""
    content = png(matrix_of(text) or [])
    pixels = pixels_of_png(content)
    assert pixels.shape == ((_size(text) + 8) * 10,) * 2
    assert read(pixels) == [text]


def test_an_svg_covers_exactly_the_dark_modules() -> None:
    """Runs of dark modules on a light ground, at the place that the quiet zone leaves."""
    import re

    matrix = matrix_of(DEVICE) or []
    document = svg(matrix)
    seen = set()
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", document):
        seen |= {(int(x) - 4 + i, int(y) - 4) for i in range(int(length))}
    assert seen == {(x, y) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark}
    assert 'viewBox="0 0 37 37"' in document


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"KONSOLE_VERSION": "221203"}, "kitty"),
        ({"KONSOLE_VERSION": "200800"}, None),
        ({"KONSOLE_VERSION": "x"}, None),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM_PROGRAM": "vscode"}, None),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "foot-extra"}, "sixel"),
        ({"TERM": "mlterm"}, "sixel"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
        ({"TERM": "foot", "STY": "1.pts-0.host"}, None),
    ],
)
def test_only_terminals_that_say_so_get_pictures(
    environ: dict[str, str], expected: str | None
) -> None:
    """By the names that they give themselves; a multiplexer would swallow the picture."""
    assert known_protocol(environ) == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_picture_makes_its_room_first_and_comes_back(protocol: str) -> None:
    """Rows first, the cursor saved and restored: where the terminal leaves it does not matter."""
    drawn = picture(matrix_of(URL) or [], protocol, 3, 2, 14)
    assert drawn.startswith("\n" * 14 + "\x1b[14A\x1b7")
    assert drawn.endswith("\x1b8\x1b[14B")
    if protocol == "kitty":
        assert ",q=2" in drawn  # it never replies into the prompt
        assert all(len(part) <= 4096 + 40 for part in drawn.split("\x1b\\"))


def test_a_picture_is_forced_by_sixels() -> None:
    """Where the terminal is not known, and however small, but never nothing."""
    matrix = matrix_of(URL) or []
    drawing = forced_picture(matrix, Look(80, 24, cell=(8, 16)), 10)
    assert drawing is not None
    assert "\x1bP0;1;0q" in drawing.draw()
    assert forced_picture(matrix, Look(80, 24, cell=(8, 16)), 5) is None
