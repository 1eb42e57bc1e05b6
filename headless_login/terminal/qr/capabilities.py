"""Looking at the terminal at hand: its size, encoding, colours and multiplexer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

from headless_login.errors import OK, WARNING, Finding
from headless_login.oauth.text import exported
from headless_login.terminal.output import Console
from headless_login.terminal.qr.drawing import Look, choose

# As long as what a sign-in shows (codex-facts.md sections 2 and 4).
_ADDRESS = f"https://auth.openai.com/oauth/authorize?{'x' * 425}"
_DEVICE_PAGE = "https://auth.openai.com/codex/device"


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


def check_terminal(console: Console) -> Iterator[Finding]:
    """Check the terminal that a sign-in would use, and which QR codes it can show (`doctor`)."""
    if not console.is_terminal:
        message = "Standard error is no terminal, so that nothing can be pasted here."
        yield Finding("terminal", WARNING, message, "headless-login login start")
        return
    look = look_at(console)
    told = f"{look.columns}x{look.rows}, {'colours' if look.colours else 'NO_COLOR is set'}"
    told += {"yes": ", UTF-8", "no": ", no UTF-8"}.get(look.blocks, ", UTF-8 perhaps")
    if console.is_dumb:
        message = f"TERM is {console.environ.get('TERM') or 'not set'}: plain lines alone."
        remedy = exported("TERM", "xterm-256color")
        if sys.platform == "win32":
            message = "This console follows no escape sequences: plain lines alone."
            remedy = "Use Windows Terminal."
        yield Finding("terminal", WARNING, message, remedy)
        return
    if look.columns < 80 or look.rows < 24:
        yield Finding("terminal", WARNING, f"{told}: small.", "Zoom out (Ctrl -), to 80x24.")
    else:
        yield Finding("terminal", OK, f"{told}.")
    address, page = (_fits(text, look) for text in (_ADDRESS, _DEVICE_PAGE))
    if address:
        yield Finding("qr_code", OK, "The QR code of the address fits.")
    else:
        which = "fits with --device-auth alone" if page else "fits nowhere"
        remedy = "Zoom out (Ctrl -), or sign in with --device-auth."
        yield Finding("qr_code", WARNING if not page else OK, f"A QR code {which}.", remedy)


def _fits(text: str, look: Look) -> bool:
    from headless_login.terminal.qr.matrix import matrix_of

    left = look.rows - -(-len(text) // look.columns) - 1  # for the address, and the question
    matrix = matrix_of(text)
    return matrix is not None and choose(matrix, look, left) is not None


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
