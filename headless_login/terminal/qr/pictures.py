"""QR codes as picture files: PNG and SVG are simple enough to be written without a library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

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
    """Return an SVG document; `scale` is the pixels of a module's side where nobody says more."""
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
