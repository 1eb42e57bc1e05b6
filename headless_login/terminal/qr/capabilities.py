"""Looking at the terminal at hand: its size, encoding, colours and multiplexer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress

from headless_login.terminal.output import Console
from headless_login.terminal.qr.drawing import Look


def look_at(console: Console, *, colours_asked: bool = False) -> Look:
    """Return what is known of a terminal; `colours_asked` overrules NO_COLOR."""
    columns, rows = console.size
    return Look(
        columns,
        rows,
        colours=colours_asked or not console.environ.get("NO_COLOR"),
        blocks=_blocks(console),
        light=_light(console),
        protocol=known_protocol(console.environ),
        cell=_cell(console),
    )


def known_protocol(environ: Mapping[str, str]) -> str | None:
    """Return the protocol that the terminal is known to speak, by the name it gives itself.

    Asking it would stall, and late replies would end in the prompt. A multiplexer stands between,
    whatever the terminal outside can do.
    """
    if environ.get("TMUX") or environ.get("STY"):
        return None
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if term in ("xterm-kitty", "xterm-ghostty") or environ.get("KITTY_WINDOW_ID"):
        return "kitty"
    if environ.get("KONSOLE_VERSION", "").isdigit() and int(environ["KONSOLE_VERSION"]) >= 220400:
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "sixel" if term.partition("-")[0] in ("foot", "mlterm", "contour") else None


def _blocks(console: Console) -> str:
    """Return whether half blocks arrive: Python says UTF-8 even where the locale is C (PEP 538)."""
    encoding = getattr(console.stream, "encoding", None) or "ascii"
    try:
        "▀▄".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "no"
    if sys.platform == "win32":
        return "yes"
    environ = console.environ
    language = environ.get("LANG") or ""
    kind = environ.get("LC_CTYPE") or ""
    if kind in ("C.UTF-8", "C.utf8") and language in ("", "C", "POSIX"):
        kind = ""  # Python's own doing (PEP 538), which says nothing about the terminal
    locale = environ.get("LC_ALL") or kind or language
    named = locale.partition("@")[0].upper().replace("-", "")
    # The Linux console has its own font, in which they may be missing.
    return "yes" if named.endswith("UTF8") and environ.get("TERM") != "linux" else "unknown"


def _light(console: Console) -> bool | None:
    """Read COLORFGBG, where some terminals tell the numbers of ink and ground."""
    ground = console.environ.get("COLORFGBG", "").rpartition(";")[2]
    return int(ground) in (7, 15) if ground.isdigit() else None


def _cell(console: Console) -> tuple[int, int] | None:
    """Return the pixels of a cell where the terminal's driver knows them."""
    if sys.platform == "win32":
        return None
    if console.stream is None:
        return None
    import fcntl
    import struct
    import termios

    with suppress(OSError, ValueError):
        told = fcntl.ioctl(console.stream.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", told)
        if rows and columns and width >= columns and height >= rows:
            return width // columns, height // rows
    return None
