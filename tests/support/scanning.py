"""What a camera would read off a screen: cells become pixels, and two decoders look at them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Never

import pyte
import pytest
import zxingcpp

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
else:
    try:
        import numpy as np
    except ImportError:

        class np:  # noqa: N801
            """Skips the test that draws; what else is beside it runs."""

            def __getattr__(self, name: str) -> Never:
                pytest.skip("numpy is not to be had under Wine")

        np = np()
    Pixels = Any

__all__ = ["DARK", "LIGHT", "Pixels", "Theme", "np", "picture_of", "pixels_of_png", "read"]
__all__ += ["read_by_zbar", "read_by_zxing"]
_WIDTH, _HEIGHT = 8, 16  # pixels of a cell
_MARGIN = 24  # pixels of the terminal's ground around the screen


@dataclass(frozen=True)
class Theme:
    """The colours of a terminal where a program names none."""

    ink: str
    ground: str


DARK = Theme("e5e5e5", "000000")
LIGHT = Theme("303030", "fdf6e3")


def picture_of(screen: pyte.Screen, theme: Theme = DARK) -> Pixels:
    """Return the pixels of an emulated screen, in grey; other glyphs than blocks are scribbled."""
    rows = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    pixels = np.vstack([np.hstack([_cell(char, theme) for char in row]) for row in rows])
    return np.pad(pixels, _MARGIN, constant_values=_grey(theme.ground))


@cache
def _cell(char: Any, theme: Theme) -> Pixels:
    ink = _grey(theme.ink if char.fg == "default" else char.fg)
    ground = _grey(theme.ground if char.bg == "default" else char.bg)
    if char.reverse:
        ink, ground = ground, ink
    cell = np.full((_HEIGHT, _WIDTH), ground, np.uint8)
    middle = _HEIGHT // 2
    blocks = {"▀": slice(None, middle), "▄": slice(middle, None), "█": slice(None)}
    if char.data in blocks:
        cell[blocks[char.data]] = ink
    elif char.data.strip():
        cell[4:12:2, 1:7] = ink
    return cell


_NAMED = {"black": 0, "white": 229, "red": 60, "green": 120, "blue": 30, "brown": 120}


def _grey(colour: str) -> int:
    """Return how bright a colour is, by the weights of a camera."""
    if len(colour) == 6:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (0, 2, 4))
        return round(0.299 * red + 0.587 * green + 0.114 * blue)
    return _NAMED.get(colour, 128)


def pixels_of_png(content: bytes) -> Pixels:
    """Decode a PNG of ours by its own rules, and no others."""
    side = struct.unpack(">I", content[16:20])[0]
    start = content.index(b"IDAT") + 4
    length = struct.unpack(">I", content[start - 8 : start - 4])[0]
    data = zlib.decompress(content[start : start + length])
    rows = np.frombuffer(data, np.uint8).reshape(side, -1)[:, 1:]
    return (np.unpackbits(rows, axis=1)[:, :side] * 255).astype(np.uint8)


def read_by_zxing(pixels: Pixels) -> list[str]:
    """Return the texts of the QR codes that ZXing finds; light on dark is not forgiven."""
    wanted = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = zxingcpp.read_barcodes(pixels, formats=wanted, try_invert=False, try_rotate=False)
    return [code.text for code in found]


def read_by_zbar(pixels: Pixels) -> list[str]:
    """Return the texts of the QR codes that ZBar finds; skips where its library is missing."""
    try:
        from pyzbar import pyzbar
    except ImportError as error:
        pytest.skip(f"ZBar is not installed (libzbar0): {error}")
    height, width = pixels.shape
    found = pyzbar.decode((pixels.tobytes(), width, height), symbols=[pyzbar.ZBarSymbol.QRCODE])
    return [code.data.decode() for code in found]


def read(pixels: Pixels) -> list[str]:
    """Return what both decoders agree on."""
    first, second = read_by_zxing(pixels), read_by_zbar(pixels)
    return [text for text in first if text in second]
