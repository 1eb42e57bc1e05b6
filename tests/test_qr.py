"""The QR code in half blocks: what is drawn is exactly the matrix, and it never wraps."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.terminal.qr import QUIET_ZONE, Matrix, half_blocks, matrix_of

_CELL = re.compile(r"\x1b\[([0-9;]*)m|(.)")


def _read_back(lines: list[str]) -> list[list[bool]]:
    """Return the modules that a terminal would show, dark as True."""
    rows: list[list[bool]] = []
    for line in lines:
        upper, lower = [], []
        ink = ground = True
        for style, glyph in _CELL.findall(line):
            for kind, colour in re.findall(r"([34])8;5;(\d+)", style):
                dark = colour == "16"
                ink, ground = (dark, ground) if kind == "3" else (ink, dark)
            if glyph:
                upper.append(ink if glyph == "▀" else ground)
                lower.append(ink if glyph == "▄" else ground)
        rows += [upper, lower]
    return rows


def _inside(rows: list[list[bool]], size: int) -> Matrix:
    kept = rows[QUIET_ZONE : QUIET_ZONE + size]
    return [row[QUIET_ZONE : QUIET_ZONE + size] for row in kept]


@given(st.text(min_size=1, max_size=300))
def test_what_is_drawn_is_the_matrix(text: str) -> None:
    """Every module is where it belongs, inside a light quiet zone, at its exact size."""
    matrix = matrix_of(text)
    assert matrix is not None
    lines = half_blocks(matrix)
    rows = _read_back(lines)
    size = len(matrix)
    assert {len(row) for row in rows} == {size + 2 * QUIET_ZONE}
    assert _inside(rows, size) == matrix
    assert sum(map(sum, rows)) == sum(map(sum, matrix))
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_the_authorize_url_is_version_14() -> None:
    """73 modules, 77 by 39 cells."""
    matrix = matrix_of(AuthorizationRequest(CODEX).url)
    assert matrix is not None
    assert (len(matrix), len(half_blocks(matrix))) == (73, 39)


def test_too_long_a_text_has_no_code() -> None:
    """More than a QR code holds is told, not raised."""
    assert matrix_of("x" * 4000) is None
