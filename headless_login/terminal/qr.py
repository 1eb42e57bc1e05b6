"""QR codes in half blocks, in the emission that measured best in real terminals.

Two modules share a cell. Cells of one colour are coloured blanks, which need no glyph and leave
no seams; mixed cells are light ink on black. Colours 16 and 231 are the same under every theme.
"""

from __future__ import annotations

from collections.abc import Sequence

Matrix = Sequence[Sequence[bool]]

QUIET_ZONE = 2  # modules; with none, nothing scans on a dark terminal
_DARK, _LIGHT = 16, 231  # of the 256 colours that no theme changes
_LOWER_HALF = "▄"
_RESET = "\x1b[0m"


def matrix_of(text: str) -> Matrix | None:
    """Return the modules of the smallest code for a text (True is dark), or None if too long."""
    from qrcode.constants import ERROR_CORRECT_L
    from qrcode.exceptions import DataOverflowError
    from qrcode.main import QRCode

    # One mask in place of eight tried saves three quarters of the time and scans as well.
    code = QRCode(error_correction=ERROR_CORRECT_L, border=0, mask_pattern=2)
    try:
        code.add_data(text)
        code.make(fit=True)
    except (DataOverflowError, ValueError):
        return None
    return [[bool(module) for module in row] for row in code.modules]


def half_blocks(matrix: Matrix) -> list[str]:
    """Return the lines that draw a code; each resets its colours before it ends."""
    size = len(matrix) + 2 * QUIET_ZONE
    blank = [False] * size
    side = [False] * QUIET_ZONE
    rows = [
        *[blank] * QUIET_ZONE,
        *([*side, *row, *side] for row in matrix),
        *[blank] * QUIET_ZONE,
    ]
    rows += [blank] * (len(rows) % 2)
    return [_line(rows[i], rows[i + 1]) for i in range(0, len(rows), 2)]


def _line(upper: Sequence[bool], lower: Sequence[bool]) -> str:
    cells = []
    before = ""
    for top, bottom in zip(upper, lower, strict=True):
        if top == bottom:
            style, glyph = f"\x1b[48;5;{_DARK if top else _LIGHT}m", " "
        elif top:
            style, glyph = f"\x1b[38;5;{_LIGHT};48;5;{_DARK}m", _LOWER_HALF
        else:
            style, glyph = f"\x1b[38;5;{_LIGHT};48;5;{_DARK}m", "▀"
        cells.append(glyph if style == before else style + glyph)
        before = style
    return "".join(cells) + _RESET
