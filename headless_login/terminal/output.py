"""What is written: prose for the person on standard error, answers and events on standard output.

Everything goes out in whole writes. A closed standard error is no reason to end a sign-in.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress

from headless_login.errors import HeadlessLoginError, LocalTrouble
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

CLEAR_SCREEN = "\x1b[2J\x1b[H"
_WIDEST_TEXT = 100  # columns; longer lines are hard to read


class Console:
    """A stream that a person reads, by default standard error, and what their terminal can show."""

    def __init__(
        self, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Without a `stream` it is the process's own, which may be closed."""
        self.stream = stream or self._own()
        self.environ = environ

    def _own(self) -> TextIO | None:
        return sys.stderr

    @property
    def is_terminal(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    @property
    def is_dumb(self) -> bool:
        """Whether nothing but plain lines can be shown."""
        if not self.is_terminal or self.environ.get("TERM", "") in ("dumb", "unknown"):
            return True
        if sys.platform == "win32" and self.stream is not None:
            from headless_login.windows import show_sequences  # older consoles print them

            with suppress(OSError):
                return not show_sequences(self.stream.fileno())
            return True  # none of the system's, such as IDLE's
        return False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 by 24 where they are not known."""
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
            write_text(self.stream, text)

    def wrapped(self, text: str, indent: str = "", columns: int = _WIDEST_TEXT) -> list[str]:
        """Return the lines that a paragraph takes; words are never broken, nor lines in a log.

        All but the first begin with `indent`; none is longer than `columns`.

        No control character of a name or an address reaches the terminal.
        """
        text = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?" for c in text)
        if not self.is_terminal:
            return [text]
        width = min(self.size[0], columns)
        if len(text) <= width and text == text.strip():
            return [text]
        import textwrap  # which takes as long as everything else here

        wrapped = textwrap.TextWrapper(
            width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        return wrapped.wrap(text) or [""]

    def rows_of(self, text: str) -> int:
        """Return how many rows lines of text will take on the screen."""
        columns = self.size[0]
        return sum(max(1, -(-len(line) // columns)) for line in text.splitlines())


class AnswerConsole(Console):
    """Standard output, for what a command is called for: that must not be lost unnoticed."""

    def _own(self) -> TextIO | None:
        return sys.stdout

    def write(self, text: str) -> None:
        """Write text; a reader that has seen enough may be gone.

        Raises:
            LocalTrouble: `store_failed`; it cannot be written.
        """
        write_answer(self.stream, text)


def write_answer(stream: TextIO | None, text: str) -> None:
    """Write text, or raise the LocalTrouble that says why it cannot be written."""
    reason = "it is closed"
    try:
        if stream is not None:
            write_text(stream, text)
            return
    except BrokenPipeError:
        return
    except (OSError, ValueError) as error:
        if sys.platform == "win32" and getattr(error, "errno", None) == errno.EINVAL:
            return  # what it says of a pipe whose reader is gone
        reason = getattr(error, "strerror", None) or reason
    raise LocalTrouble(
        "store_failed",
        f"Standard output cannot be written: {reason}.",
        "Run it again where its answer can be read.",
    )


def write_text(stream: TextIO, text: str) -> None:
    """Write text and flush it; file names that are no text keep their bytes where possible."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        try:
            content = text.encode(encoding, "surrogateescape")
        except UnicodeEncodeError:
            content = text.encode(encoding, "replace")
        stream.flush()
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(content.decode(encoding, "replace"))
        else:
            buffer.write(content)
    stream.flush()


class Events:
    """What programs read (`--json`): one JSON object a line on standard output, as things happen.

    Described in `headless_login/schemas/events.schema.json`. Silent unless `wanted`; `strict` where
    the event is all that the command is called for.
    """

    def __init__(
        self, wanted: bool = False, strict: bool = False, stream: TextIO | None = None
    ) -> None:
        """Without a `stream` it is standard output."""
        self.wanted = wanted
        self.strict = strict
        self._stream = stream or sys.stdout

    def emit(self, event: str, **fields: object) -> None:
        """Write one event at once; a reader that is gone does not end the sign-in.

        Raises:
            LocalTrouble: `store_failed`; it is strict, and cannot be written.
        """
        if not self.wanted:
            return
        import json

        line = json.dumps({"event": event, **fields}) + "\n"
        with nullcontext() if self.strict else suppress(LocalTrouble):
            write_answer(self._stream, line)


def utc(seconds: float) -> str:
    """Return a time (seconds since the epoch) as ISO 8601 in UTC, whole seconds."""
    from datetime import UTC, datetime, timedelta

    # Not fromtimestamp: on Windows it takes no time before the epoch, and none after 3000.
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))).isoformat()


class Output:
    """Everything that hears how a command goes: the person, and a program that asked for events.

    `console` is the conversation, `answer` what the command is called for.
    """

    def __init__(
        self,
        console: Console | None = None,
        events: Events | None = None,
        answer: Console | None = None,
    ) -> None:
        """Without arguments these are the process's own streams, without events."""
        self.console = console or Console()
        self.events = events or Events()
        self.answer = answer or AnswerConsole()

    def say(self, *paragraphs: str) -> None:
        """Write paragraphs of prose for the person."""
        self.console.say(*paragraphs)

    def tell_rejected(self, rejected: HeadlessLoginError) -> None:
        """Say that an answer was not accepted, and what is awaited instead."""
        self.console.say(f"{rejected.message} {rejected.hint}")
        self.events.emit("rejected", error=rejected.error, message=rejected.message)

    def tell_error(self, error: HeadlessLoginError, target: str = "") -> None:
        """Say what has ended the command, or what was done for one target, and what to do."""
        hint = error.hint.removesuffix(error.command).rstrip()
        self.console.say(f"Error: {error.message}", *filter(None, [hint]))
        # Not wrapped: it has to be copied whole.
        self.console.write(f"{error.command}\n" if error.command else "")
        self.events.emit(
            "error",
            error=error.error,
            message=error.message,
            hint=error.hint,
            exit_code=error.exit_code,
            pending=bool(error.pending),
            **({"target": target} if target else {}),
        )
