"""QR codes as pictures: PNG and SVG files, and the picture protocols of terminals."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from itertools import groupby

from headless_login.terminal.qr.matrix import Matrix

QUIET_ZONE = 4  # modules, as ISO/IEC 18004 asks for


def png(matrix: Matrix, scale: int = 10, quiet_zone: int = QUIET_ZONE) -> bytes:
    """Return a PNG (W3C) of one bit a pixel; `scale` is the pixels of a module's side."""
    side = (len(matrix) + 2 * quiet_zone) * scale
    blank = _scan_line([False] * (len(matrix) + 2 * quiet_zone), scale)
    frame = [False] * quiet_zone
    lines = [
        blank * (scale * quiet_zone),
        *(_scan_line([*frame, *row, *frame], scale) * scale for row in matrix),
        blank * (scale * quiet_zone),
    ]
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # greyscale, not interlaced
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + _chunk(b"IEND", b"")
    )


def svg(matrix: Matrix, scale: int = 10, quiet_zone: int = QUIET_ZONE) -> str:
    """Return an SVG document; `scale` is the pixels of a module's side."""
    size = len(matrix) + 2 * quiet_zone
    runs = "".join(
        f"M{start + quiet_zone} {y + quiet_zone}h{length}v1h-{length}z"
        for y, row in enumerate(matrix)
        for start, length in _dark_runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size * scale}" height="{size * scale}" '
        f'viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{runs}"/></svg>\n'
    )


def _scan_line(row: list[bool], scale: int) -> bytes:
    """Return one row of pixels behind its filter type (none); a light pixel is a set bit."""
    bits = "".join(("0" if dark else "1") * scale for dark in row)
    bits += "1" * (-len(bits) % 8)
    return b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def _dark_runs(row: Sequence[bool]) -> list[tuple[int, int]]:
    """Return where dark modules stand in a row, as start and length."""
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((x, 1))
    return runs


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
