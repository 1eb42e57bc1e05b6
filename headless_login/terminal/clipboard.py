"""Copying to the clipboard of the terminal that a person sits at, through ssh, tmux and screen.

OSC 52 ("Manipulate Selection Data", xterm's control sequences) travels with all other output;
whether the clipboard is set, the terminal decides and does not tell.
"""

from __future__ import annotations

import subprocess  # nosec B404
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress

from headless_login.terminal.output import Console
from headless_login.terminal.place import detect_place

_CHUNK = 240  # bytes; screen before 4.2 ends a string after 256


def copy(console: Console, text: str, *, buffered: Callable[[str], bool] | None = None) -> bool:
    """Ask the terminal to copy a text; False if it is one that takes no sequences.

    `buffered` hands the text to tmux (by default by its own command), which ignores what programs
    in it ask for (`set-clipboard external`, the default) but tells the terminal itself.
    """
    if console.is_dumb:
        return False
    wrapper = detect_place(console.environ).multiplexer
    if wrapper == "tmux" and (buffered or _buffer)(text):
        return True
    sequence = f"\x1b]52;c;{b64encode(text.encode()).decode()}\a"
    if wrapper == "tmux":  # before 3.2, where sequences may pass
        sequence = f"\x1bPtmux;\x1b{sequence}\x1b\\"  # every Escape in it is doubled
    elif wrapper == "screen":
        pieces = (sequence[at : at + _CHUNK] for at in range(0, len(sequence), _CHUNK))
        sequence = "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    console.write(sequence)
    return True


def _buffer(text: str) -> bool:
    """Put a text into a buffer of tmux and the terminal's clipboard (`-w`: tmux 3.2)."""
    command = ["tmux", "load-buffer", "-w", "-"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # nosec B603
            command, input=text.encode(), capture_output=True, timeout=5
        )
        return done.returncode == 0
    return False
