"""QR codes by a terminal's picture protocol, for terminals that are known to speak one."""

from __future__ import annotations

from base64 import b64encode
from itertools import groupby

from headless_login.terminal.qr.matrix import Matrix
from headless_login.terminal.qr.pictures import png

PROTOCOLS = ("kitty", "iterm2", "sixel")
_CHUNK = 4096  # characters of base64 in one of kitty's commands
_BAND = 6  # pixels of height that one row of sixels has


def picture(matrix: Matrix, protocol: str, scale: int, quiet_zone: int, rows: int) -> str:
    """Return what draws a code at the cursor and leaves the cursor below it, in column 1.

    `rows` are made free first, so that nothing scrolls while it is drawn; where a terminal leaves
    the cursor after a picture is its own affair.
    """
    drawn = {"kitty": _kitty, "iterm2": _iterm2, "sixel": _sixel}[protocol](
        matrix, scale, quiet_zone
    )
    return "\n" * rows + f"\x1b[{rows}A\x1b7{drawn}\x1b8\x1b[{rows}B"


def _kitty(matrix: Matrix, scale: int, quiet_zone: int) -> str:
    """Kitty's graphics protocol: transmit and show a PNG (f=100), and never reply (q=2)."""
    content = b64encode(png(matrix, scale, quiet_zone)).decode()
    chunks = [content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK)]
    controls = ["a=T,f=100,q=2,C=1,", *[""] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"\x1b_G{control}m={follows};{chunk}\x1b\\"
        for control, follows, chunk in zip(controls, more, chunks, strict=True)
    )


def _iterm2(matrix: Matrix, scale: int, quiet_zone: int) -> str:
    content = png(matrix, scale, quiet_zone)
    encoded = b64encode(content).decode()
    return f"\x1b]1337;File=inline=1;size={len(content)};doNotMoveCursor=1:{encoded}\x07"


def _sixel(matrix: Matrix, scale: int, quiet_zone: int) -> str:
    """DEC's sixels: bands of six pixel rows, first the light pixels of each, then the dark."""
    frame = [False] * quiet_zone
    side = len(matrix) + 2 * quiet_zone
    blank = [False] * side
    modules = [*[blank] * quiet_zone, *([*frame, *row, *frame] for row in matrix)]
    modules += [blank] * quiet_zone
    lines = [row for row in modules for _ in range(scale)]
    bands = [lines[start : start + _BAND] for start in range(0, len(lines), _BAND)]
    size = side * scale
    palette = "#0;2;100;100;100#1;2;0;0;0"
    body = "-".join(f"{_layer(0, band, scale)}${_layer(1, band, scale)}" for band in bands)
    return f'\x1bP0;1;0q"1;1;{size};{size}{palette}{body}\x1b\\'


def _layer(colour: int, band: list[list[bool]], scale: int) -> str:
    columns = zip(*band, strict=True)
    bits = (
        sum(1 << y for y, dark in enumerate(column) if dark is bool(colour)) for column in columns
    )
    runs = (f"!{len(list(run)) * scale}{chr(63 + value)}" for value, run in groupby(bits))
    return f"#{colour}" + "".join(runs)
