"""Which drawing of a QR code fits a terminal, and the drawing in character cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from headless_login.terminal.qr.matrix import Matrix
from headless_login.typed import NamedTuple

_ON_DARK, _ON_LIGHT, _LIGHT_ON_DARK = "48;5;16", "48;5;231", "38;5;231;48;5;16"
_FULL = {True: (_ON_DARK, "  "), False: (_ON_LIGHT, "  ")}
_HALF = {
    (True, True): (_ON_DARK, " "),
    (False, False): (_ON_LIGHT, " "),
    (True, False): (_LIGHT_ON_DARK, "▄"),
    (False, True): (_LIGHT_ON_DARK, "▀"),
}
_RESET = "\x1b[0m"  # before the line ends, or the colour runs on to the edge of the screen


def full_blocks(matrix: Matrix, quiet_zone: int) -> list[str]:
    """Return lines of coloured blanks, two columns and one row a module."""
    return [_coloured(map(_FULL.__getitem__, row)) for row in _framed(matrix, quiet_zone)]


def half_blocks(matrix: Matrix, quiet_zone: int) -> list[str]:
    """Return lines in which a cell is two modules: mixed ones are light ink on a dark ground."""
    return [_coloured(map(_HALF.__getitem__, cells)) for cells in _paired(matrix, quiet_zone)]


def plain_half_blocks(matrix: Matrix, quiet_zone: int, *, on_light: bool) -> list[str]:
    """Return lines of glyphs alone; `on_light` tells that the terminal's ground is light."""
    return [
        "".join(" ▀▄█"[(top is on_light) + 2 * (bottom is on_light)] for top, bottom in cells)
        for cells in _paired(matrix, quiet_zone)
    ]


def _paired(matrix: Matrix, quiet_zone: int) -> Iterator[Iterable[tuple[bool, bool]]]:
    """Yield lines of cells, each cell the upper module and the lower one."""
    rows = _framed(matrix, quiet_zone)
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    for upper in range(0, len(rows), 2):
        yield zip(rows[upper], rows[upper + 1], strict=True)


def _framed(matrix: Matrix, quiet_zone: int) -> list[list[bool]]:
    size = len(matrix) + 2 * quiet_zone
    side = [False] * quiet_zone
    above = [[False] * size for _ in range(quiet_zone)]
    return [*above, *([*side, *row, *side] for row in matrix), *above]


def _coloured(cells: Iterable[tuple[str, str]]) -> str:
    parts = []
    before = ""
    for style, text in cells:
        parts.append(text if style == before else f"\x1b[{style}m{text}")
        before = style
    return "".join(parts) + _RESET


_PICTURE_QUIET_ZONE = 2
_FEWEST_PIXELS = 3  # a module's side; a camera needs two and a half of its own
_UNKNOWN_CELL = (8, 12)  # pixels; rather too low, so that a picture never takes more rows


class Look(NamedTuple):
    """What is known of a terminal: cells, colours, glyphs, and the pictures it can show.

    `blocks` tells whether half blocks arrive as such: yes, no, or unknown; `light` whether its
    ground is light, None if that is not known; `cell` is the size of a cell in pixels.
    """

    columns: int
    rows: int
    colours: bool = True
    blocks: str = "yes"
    light: bool | None = None
    protocol: str | None = None
    cell: tuple[int, int] | None = None


BESIDE = 2  # columns between a code and what stands beside it


class Drawing(NamedTuple):
    """A code that takes this many cells; `draw` returns it, every line with its end."""

    columns: int
    rows: int
    draw: Callable[[], str]
    doubt: str = ""

    def beside(self, texts: Iterable[str]) -> list[str]:
        """Return the lines of the code, each with one of these behind it."""
        rows = zip_longest(self.draw().splitlines(), texts, fillvalue="")
        return [f"{code}{' ' * BESIDE}{text}".rstrip() for code, text in rows]


def choose(matrix: Matrix, look: Look, rows: int, *, smallest: bool = True) -> Drawing | None:
    """Return the best drawing of at most this many rows, or None if none fits.

    The quiet zone is never 0: on a dark terminal nothing would scan. `smallest` allows it to be
    one module, and pictures.
    """
    for drawing in _drawings(matrix, look, rows, smallest):
        if drawing.columns <= look.columns and drawing.rows <= rows:
            return drawing
    return None


def least(matrix: Matrix, look: Look) -> Drawing:
    """Return the smallest drawing made of cells, whether it fits or not."""
    if look.colours and look.blocks == "no":
        return _full(matrix, 1)
    return _half(matrix, look, 1)


def forced(matrix: Matrix, look: Look) -> Drawing:
    """Return what is drawn with `--qr always` where nothing fits."""
    return _full(matrix, 2) if look.colours and look.blocks == "no" else _half(matrix, look, 2)


def forced_picture(matrix: Matrix, look: Look, rows: int) -> Drawing | None:
    """Return a picture by the known protocol, or sixels, however small; None if none fits."""
    return _picture(matrix, look, look.protocol or "sixel", rows, fewest_pixels=2)


def _drawings(matrix: Matrix, look: Look, rows: int, smallest: bool) -> Iterator[Drawing]:
    if look.colours:
        yield _full(matrix, 4)
        yield _full(matrix, 2)
        if look.blocks == "no" and smallest:
            yield _full(matrix, 1)
    if look.blocks != "no":
        yield _half(matrix, look, 4)
        yield _half(matrix, look, 2)
        if smallest:
            yield _half(matrix, look, 1)
    if look.protocol and smallest:
        drawing = _picture(matrix, look, look.protocol, rows, fewest_pixels=_FEWEST_PIXELS)
        if drawing is not None:
            yield drawing


def _full(matrix: Matrix, quiet_zone: int) -> Drawing:
    side = len(matrix) + 2 * quiet_zone
    return Drawing(2 * side, side, lambda: _lines(full_blocks(matrix, quiet_zone)))


def _half(matrix: Matrix, look: Look, quiet_zone: int) -> Drawing:
    side = len(matrix) + 2 * quiet_zone
    doubts = []
    if look.blocks == "unknown":
        doubts.append("Garbled? Set LANG=C.UTF-8, or use a larger window.")
    if not look.colours:
        doubts.append("Not read? Without NO_COLOR its colours are certain.")

    def draw() -> str:
        if look.colours:
            return _lines(half_blocks(matrix, quiet_zone))
        return _lines(plain_half_blocks(matrix, quiet_zone, on_light=bool(look.light)))

    return Drawing(side, -(-side // 2), draw, " ".join(doubts))


def _picture(
    matrix: Matrix, look: Look, protocol: str, rows: int, *, fewest_pixels: int
) -> Drawing | None:
    side = len(matrix) + 2 * _PICTURE_QUIET_ZONE
    width, height = look.cell or _UNKNOWN_CELL
    # As large as fits, but no larger than half blocks would be.
    scale = min(look.columns * width // side, rows * height // side, max(4, height // 2))
    if scale < fewest_pixels:
        return None
    taken = -(-side * scale // height)

    def draw() -> str:
        from headless_login.terminal.qr.pictures import picture

        return picture(matrix, protocol, scale, _PICTURE_QUIET_ZONE, taken)

    return Drawing(-(-side * scale // width), taken, draw)


def _lines(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
