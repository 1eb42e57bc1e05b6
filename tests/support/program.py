"""The installed command as a person meets it: in a pipe, or in a terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyte

COMMAND = str(Path(sys.executable).with_name("headless-login"))
PROMPT = "Paste the address it ends at:"


def environment(codex_home: Path | str | None, issuer: str | None, **extra: str) -> dict[str, str]:
    """Return a clean environment: nothing of the machine that runs the tests shines through."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(codex_home or "/nonexistent"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22",  # never open a browser in a test
    }
    if codex_home is not None:
        environ["CODEX_HOME"] = str(codex_home)
    if issuer is not None:
        environ["HEADLESS_LOGIN_ISSUER"] = issuer
    return environ | extra


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    exit_code: int
    out: str
    err: str


def run(
    *arguments: str,
    environ: dict[str, str],
    stdin: str | bytes | None = None,
    timeout: float = 60,
) -> Outcome:
    """Run the command with standard input from a pipe (None: /dev/null) to its end."""
    content = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [COMMAND, *arguments],
        input=content if content is not None else None,
        stdin=subprocess.DEVNULL if content is None else None,
        capture_output=True,
        env=environ,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def url_in(text: str) -> str:
    """Return the authorize URL in what was printed."""
    found = re.search(r"^(https?://\S+/oauth/authorize\?\S+)", text, re.MULTILINE)
    assert found, f"no authorize URL in: {text}"
    return found[1]


class Piped:
    """The command with pipes at both ends, still running."""

    def __init__(
        self,
        *arguments: str,
        environ: dict[str, str],
        stdin: int | TextIO = subprocess.PIPE,
    ):
        """Start it."""
        self.process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
        )
        self.err = ""

    def read_url(self, timeout: float = 20) -> str:
        """Return the authorize URL once a whole line of it has been printed."""
        self.read_until(r"(?m)^https?://\S+/oauth/authorize\?\S+\n", timeout)
        return url_in(self.err)

    def read_until(self, pattern: str, timeout: float = 20) -> str:
        """Read standard error until a pattern appears; returns all of it so far."""
        assert self.process.stderr
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.err):
            assert time.monotonic() < deadline, f"no {pattern!r} in: {self.err}"
            if select.select([self.process.stderr], [], [], 0.1)[0]:
                chunk = os.read(self.process.stderr.fileno(), 65536)
                assert chunk, f"ended without {pattern!r}: {self.err}"
                self.err += chunk.decode()
        return self.err

    def send(self, text: str) -> None:
        """Give it all of its input, and the end of it."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.close()
        self.process.stdin = None

    def finish(self, stdin: str | None = None, timeout: float = 60) -> Outcome:
        """Give it its input, if any, and return how it ended."""
        content = stdin.encode() if stdin is not None else None
        out, err = self.process.communicate(content, timeout)
        return Outcome(self.process.returncode, out.decode(), self.err + err.decode())

    def __enter__(self) -> Piped:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


class Terminal:
    """The command on a pseudo-terminal, with an emulator that shows what a person would see."""

    def __init__(
        self,
        *arguments: str,
        environ: dict[str, str],
        columns: int = 80,
        rows: int = 24,
        command: Sequence[str] = (COMMAND,),
        cell: tuple[int, int] = (0, 0),
    ) -> None:
        """Start it in a terminal of this size; `cell` are the pixels of one, if it tells."""
        self._master, self._slave = os.openpty()
        size = struct.pack("HHHH", rows, columns, columns * cell[0], rows * cell[1])
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
        self.attributes_before = termios.tcgetattr(self._slave)
        self._screen = pyte.HistoryScreen(columns, rows, history=2000)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environ,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def read_until(self, pattern: str, timeout: float = 20) -> str:
        """Read until a pattern appears in the raw output; returns all of it so far."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"no {pattern!r} on: {self.text}"
            self._read(0.05)
        return self.text

    def read_screen_until(self, pattern: str, timeout: float = 20) -> list[str]:
        """Read until a line on the screen matches; programs in between redraw in pieces."""
        deadline = time.monotonic() + timeout
        while not any(re.search(pattern, line) for line in self.lines):
            assert time.monotonic() < deadline, f"no {pattern!r} on: {self.lines}"
            self._read(0.05)
        return self.lines

    def watch(self, seconds: float) -> list[str]:
        """Read what comes within a time, and return what the screen shows then."""
        self._read(seconds)
        return self.lines

    def read_url(self, timeout: float = 20) -> str:
        """Return the authorize URL, and wait until the question stands below it."""
        self.read_until(r"/oauth/authorize\?\S+\r\n", timeout)
        return url_in(self.text.replace("\r\n", "\n"))

    @property
    def text(self) -> str:
        """Everything that was written, escape sequences included."""
        return self.output.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """What the screen shows now, without trailing blanks."""
        return [line.rstrip() for line in self._screen.display]

    def transcript(self, edit: Callable[[str], str] = str) -> str:
        """Return every row a person saw, scrolled away or not, of the output after `edit`."""
        screen = pyte.HistoryScreen(self._screen.columns, self._screen.lines, history=2000)
        pyte.Stream(screen).feed(edit(self.text))
        history = [
            "".join(line[column].data for column in range(screen.columns))
            for line in screen.history.top
        ]
        return "\n".join(row.rstrip() for row in [*history, *screen.display])

    @property
    def screen(self) -> pyte.Screen:
        """The emulated screen, cell by cell."""
        return self._screen

    @property
    def descriptor(self) -> int:
        """The side of the terminal that the command sees, to change its size."""
        return self._slave

    @staticmethod
    def replay(output: bytes, columns: int, rows: int) -> pyte.Screen:
        """Return the screen of a larger terminal after the same output."""
        screen = pyte.Screen(columns, rows)
        pyte.ByteStream(screen).feed(output)
        return screen

    @property
    def attributes(self) -> list[object]:
        """The terminal's settings as they are now."""
        return termios.tcgetattr(self._slave)

    def send(self, text: str | bytes) -> None:
        """Type text, in pieces that a terminal would take."""
        content = text.encode() if isinstance(text, str) else text
        for start in range(0, len(content), 512):
            os.write(self._master, content[start : start + 512])
            self._read(0)

    def paste(self, text: str, *, marked: bool = True) -> None:
        """Paste text, with the marks of bracketed paste if the terminal sends them."""
        self.send(f"\x1b[200~{text}\x1b[201~" if marked else text)

    def interrupt(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.text}"
            self._read(0.02)
        while self._read(0.05):
            pass
        return self.process.returncode

    def _read(self, patience: float) -> bool:
        if not select.select([self._master], [], [], patience)[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:
            return False
        self.output += chunk
        self._stream.feed(chunk)
        return bool(chunk)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
