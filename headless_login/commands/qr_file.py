"""`--qr-file`: the QR code as a picture, to be sent to a phone, or opened where a screen is."""

from __future__ import annotations

import os

from headless_login.codex.replace import replace_file
from headless_login.errors import LocalTrouble, WrongUsage


def check_qr_file(path: str) -> None:
    """Refuse a name of no known kind, before anything is shown."""
    if not path.lower().endswith((".png", ".svg")):
        raise WrongUsage("--qr-file writes .png or .svg.", "Use: --qr-file code.png")


def write_qr_file(text: str, path: str) -> str:
    """Write the picture, private (0600) because it carries the state, and return where it is.

    Raises:
        LocalTrouble: `store_failed`; it cannot be written.
        WrongUsage: the text is too long for a QR code.
    """
    from headless_login.terminal.qr.matrix import matrix_of
    from headless_login.terminal.qr.pictures import png, svg

    matrix = matrix_of(text)
    if matrix is None:
        raise WrongUsage("The address is too long for a QR code.", "Leave --qr-file out.")
    where = os.path.abspath(os.path.expanduser(path))
    try:
        replace_file(where, svg(matrix).encode() if path.lower().endswith(".svg") else png(matrix))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return where
    raise LocalTrouble(
        "store_failed", f"{where} cannot be written: {reason}.", "Name another with --qr-file."
    )
