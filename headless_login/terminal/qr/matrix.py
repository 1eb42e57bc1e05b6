"""The modules of a QR code: a pure function of the text."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from qrcode.util import QRData

Matrix = Sequence[Sequence[bool]]

# Any mask scans as well as the best of the eight, which costs four times as long to find.
_MASK = 2
_LARGEST = 40  # the last version of a QR code


def matrix_of(text: str) -> Matrix | None:
    """Return the modules of the smallest code for a text (True is dark), or None if too long.

    Error correction is the lowest (L): on a screen nothing is torn off or stained, and fewer
    modules are read from further away.
    """
    with _without_pictures():
        from qrcode.constants import ERROR_CORRECT_L
        from qrcode.exceptions import DataOverflowError
        from qrcode.main import QRCode

    code = QRCode(error_correction=ERROR_CORRECT_L, border=0, mask_pattern=_MASK)
    try:
        code.add_data(text.encode())
        code.version = _version_for(code.data_list, ERROR_CORRECT_L)
        code.make(fit=False)
    except (DataOverflowError, ValueError):
        return None
    return [[bool(module) for module in row] for row in code.modules]


def _version_for(data: Sequence[QRData], error_correction: int) -> int:
    """Return the smallest version that holds the data.

    As qrcode's own best_fit, which writes all bits, twice, only to count them.
    """
    from qrcode.util import BIT_LIMIT_TABLE, mode_sizes_for_version

    version, before = 1, 0
    while version != before and version <= _LARGEST:
        before = version
        sizes = mode_sizes_for_version(version)
        bits = sum(4 + sizes[each.mode] + _bits(each) for each in data)
        version = max(version, bisect_left(BIT_LIMIT_TABLE[error_correction], bits, version))
    if version > _LARGEST:
        raise ValueError("too long for a QR code")
    return version


def _bits(data: QRData) -> int:
    """Return how many bits the characters take: digits, capitals, or any bytes (ISO/IEC 18004)."""
    from qrcode.util import MODE_ALPHA_NUM, MODE_NUMBER

    count = len(data)
    if data.mode == MODE_NUMBER:
        return 10 * (count // 3) + (0, 4, 7)[count % 3]
    if data.mode == MODE_ALPHA_NUM:
        return 11 * (count // 2) + 6 * (count % 2)
    return 8 * count


@contextmanager
def _without_pictures() -> Iterator[None]:
    """Keep qrcode from importing Pillow, which it does wherever it is installed."""
    hidden = "PIL" not in sys.modules
    if hidden:
        sys.modules["PIL"] = None  # type: ignore[assignment]  # as if it were not there
    try:
        yield
    finally:
        if hidden:
            sys.modules.pop("PIL", None)
