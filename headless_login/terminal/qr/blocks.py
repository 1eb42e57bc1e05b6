"""QR codes made of character cells, in the emissions that measured best in real terminals.

Colours 16 and 231 of the 256 are the same under every theme. Cells of one colour are coloured
blanks, which need no glyph, no encoding, and leave no seams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headless_login.terminal.qr.matrix import Matrix

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
