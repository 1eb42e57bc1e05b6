"""The conversation with the person, on standard error: words, addresses, questions.

Everything goes out in whole writes; what cannot be shown (a closed terminal) is let go, because
a sign-in must not die of it.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

_WIDEST_TEXT = 100  # columns; longer lines are hard to read


@dataclass(frozen=True, slots=True)
class Console:
    """A stream that a person reads, and what is known about their terminal."""

    stream: TextIO | None = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def is_terminal(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    @property
    def is_dumb(self) -> bool:
        """Whether nothing but plain lines can be shown."""
        return not self.is_terminal or self.environ.get("TERM", "") in ("dumb", "unknown")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 by 24 where nobody knows."""
        with suppress(OSError, ValueError, AttributeError):
            columns, rows = os.get_terminal_size(self.stream.fileno())  # type: ignore[union-attr]
            if columns > 0 and rows > 0:
                return columns, rows
        return 80, 24

    def say(self, *paragraphs: str) -> None:
        """Write paragraphs of prose, wrapped between words for the terminal's width."""
        self.write("".join(line + "\n" for text in paragraphs for line in self.wrapped(text)))

    def write(self, text: str) -> None:
        """Write text as it is, at once: addresses and codes must not be broken or delayed."""
        if self.stream is None:
            return
        with suppress(OSError, ValueError):
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                encoding = self.stream.encoding or "ascii"
                self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()

    def wrapped(self, text: str) -> list[str]:
        """Return the lines that a paragraph takes; words are never broken, nor lines in a log."""
        if not self.is_terminal:
            return [text]
        width = min(self.size[0], _WIDEST_TEXT)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]

    def rows_of(self, text: str) -> int:
        """Return how many rows lines of text will take on the screen."""
        columns = self.size[0]
        return sum(max(1, -(-len(line) // columns)) for line in text.splitlines())
