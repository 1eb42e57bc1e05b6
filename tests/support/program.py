"""The installed command as a person meets it: in a pipe, or in a terminal of a given size."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Any, Self, TextIO, TypeVar

import jsonschema
import pyte
import pytest

if sys.platform != "win32":
    import fcntl
    import termios

_BESIDE = Path(sys.executable).parent
COMMAND = which("headless-login", path=f"{_BESIDE}{os.pathsep}{_BESIDE / 'Scripts'}") or "missing"
T = TypeVar("T")
PROMPT = "Paste the whole address here:"
Variables = dict[str, str]  # of an environment
# What no program starts without on Windows, and where its modules are.
_NEEDED = ("COMSPEC", "PATHEXT", "PYTHONPATH", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "WINDIR")
_KEPT = _NEEDED if sys.platform == "win32" else ()
SYSTEM: Variables = {name: os.environ[name] for name in _KEPT if name in os.environ}


def environment(codex_home: Path | str | None, issuer: str | None, **extra: str) -> Variables:
    """Return a clean environment: nothing is inherited from the machine that runs the tests."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(codex_home or "/nonexistent"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22",  # never open a browser in a test
    }
    given = {"CODEX_HOME": codex_home, "HEADLESS_LOGIN_ISSUER": issuer}
    environ |= {name: str(value) for name, value in given.items() if value}
    return SYSTEM | environ | extra


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    out: str
    err: str


def assert_ended(outcome: Outcome, exit_code: int, *phrases: str) -> Outcome:
    """Fail unless it ended with this code and said all this on standard error."""
    assert outcome.exit_code == exit_code, outcome.err
    assert not [phrase for phrase in phrases if phrase not in outcome.err], outcome.err
    return outcome


def event_in(outcome: Outcome) -> tuple[int, str]:
    """Return exit code and word of the last event."""
    *_, event = events_in(outcome.out)
    return outcome.exit_code, event.get("error", event["event"])


def events_in(out: str) -> list[dict[str, Any]]:
    """Return the events on standard output, each line of which is held against the schema."""
    events = []
    for line in out.splitlines():
        event = json.loads(line)
        validator("events").validate(event)
        events.append(event)
    return events


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """Return what checks a document against a schema of the package."""
    text = (files("headless_login") / "schemas" / f"{name}.schema.json").read_text()
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def url_in(text: str) -> str:
    found = re.search(r"^(https?://\S+/oauth/authorize\?\S+)", text, re.MULTILINE)
    assert found, f"no authorize URL in: {text}"
    return found[1]


class Piped:
    """The command with pipes at both ends, still running."""

    def __init__(
        self,
        *arguments: str,
        environ: Variables,
        stdin: int | TextIO = subprocess.PIPE,
        command: Sequence[str] = (COMMAND,),
    ) -> None:
        if sys.platform == "win32" and command and command[0] in ("sh", "bash", "zsh", "fish"):
            pytest.skip("a shell of POSIX")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*command, *arguments], stdin=stdin, stdout=pipe, stderr=pipe, env=environ
        )
        self.err = ""

    def read_url(self, timeout: float = 20) -> str:
        return url_in(self.read_until(r"(?m)^https?://\S+/oauth/authorize\?\S+\n", timeout))

    def read_until(self, pattern: str, timeout: float = 20) -> str:
        """Read standard error until a pattern appears; returns all of it so far."""
        assert self.process.stderr
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.err):
            assert time.monotonic() < deadline, f"no {pattern!r} in: {self.err}"
            if sys.platform == "win32" or select.select([self.process.stderr], [], [], 0.1)[0]:
                chunk = os.read(self.process.stderr.fileno(), 65536)
                assert chunk, f"ended without {pattern!r}: {self.err}"
                self.err += chunk.decode().replace("\r\n", "\n")
        return self.err

    def write(self, text: str) -> None:
        """Give it a part of its input."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def send(self, text: str) -> None:
        """Give it all of its input, and the end of it."""
        self.write(text)
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None

    def interrupt(self, number: signal.Signals) -> None:
        if sys.platform == "win32":
            pytest.skip("no signal comes to a program without a console, it is ended at once")
        self.process.send_signal(number)

    def finish(self, stdin: str | bytes | None = None, timeout: float = 60) -> Outcome:
        """Give it its input, if any, and return how it ended."""
        content = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = self.process.communicate(content, timeout)
        said = [
            each.decode(errors="surrogateescape").replace("\r\n", "\n")  # as paths may be
            for each in (out, err)
        ]
        return Outcome(self.process.returncode, said[0], self.err + said[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def run(
    *arguments: str,
    environ: Variables,
    stdin: str | bytes | None = None,
    timeout: float = 60,
    command: Sequence[str] = (COMMAND,),
) -> Outcome:
    """Run the command with standard input from a pipe (None: /dev/null) to its end."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with Piped(*arguments, environ=environ, stdin=source, command=command) as piped:
        return piped.finish(stdin, timeout)


def at_once(count: int, call: Callable[[], T]) -> list[T]:
    """Make so many calls at the same time, and return what they return."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


class Terminal:
    """The command on a pseudo-terminal, with an emulator that shows what a person would see."""

    def __init__(
        self,
        *arguments: str,
        environ: Variables,
        columns: int = 80,
        rows: int = 24,
        command: Sequence[str] = (COMMAND,),
        cell: tuple[int, int] = (0, 0),
    ) -> None:
        """Start it in a terminal of this size; `cell` is the size of a cell in pixels, if known."""
        self._master, self._slave = os.openpty()
        self._cell = cell
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(columns, rows)
        self.attributes_before = termios.tcgetattr(self._slave)
        self.output = b""
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environ,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as a window manager would."""
        self.screen.resize(rows, columns)
        size = struct.pack("HHHH", rows, columns, columns * self._cell[0], rows * self._cell[1])
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)

    def until(self, seen: Callable[[], object], wanted: str, timeout: float = 20) -> None:
        """Read until `seen` returns something true; `wanted` says what that is."""
        deadline = time.monotonic() + timeout
        while not seen():
            assert time.monotonic() < deadline, f"no {wanted} on: {self.text}\n{self.lines}"
            self._read(0.05)

    def read_until(self, pattern: str, timeout: float = 20) -> str:
        """Read until a pattern appears in the raw output; returns all of it so far."""
        self.until(lambda: re.search(pattern, self.text), repr(pattern), timeout)
        return self.text

    def read_screen_until(self, pattern: str, timeout: float = 20) -> list[str]:
        """Read until a line on the screen matches; programs in between redraw in pieces."""
        regex = re.compile(pattern)
        self.until(lambda: any(map(regex.search, self.lines)), repr(pattern), timeout)
        return self.lines

    def watch(self, seconds: float) -> list[str]:
        """Read what comes within a time, and return what the screen shows then."""
        self._read(seconds)
        return self.lines

    def read_url(self, timeout: float = 20) -> str:
        """Return the authorize URL once a whole line of it has been printed."""
        text = self.read_until(r"/oauth/authorize\?\S+\r\n", timeout)
        return url_in(text.replace("\r\n", "\n"))

    def read_question(self, timeout: float = 20) -> str:
        """Return the authorize URL once the question stands below it."""
        self.read_until(PROMPT, timeout)
        return self.read_url()

    @property
    def text(self) -> str:
        """Everything that was written, escape sequences included."""
        return self.output.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """What the screen shows now, without trailing blanks."""
        return [line.rstrip() for line in self.screen.display]

    def transcript(self, edit: Callable[[str], str] = str) -> str:
        """Return every row a person saw, scrolled away or not, of the output after `edit`."""
        screen = pyte.HistoryScreen(self.screen.columns, self.screen.lines, history=2000)
        pyte.Stream(screen).feed(edit(self.text))
        history = [
            "".join(line[column].data for column in range(screen.columns))
            for line in screen.history.top
        ]
        return "\n".join(row.rstrip() for row in [*history, *screen.display])

    @property
    def attributes(self) -> list[object]:
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
        self.process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Read to the end and return the exit code."""
        self.until(lambda: self.process.poll() is not None, "end", timeout)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)


def until(seen: Callable[[], object], timeout: float = 20, wanted: str = "end of waiting") -> None:
    """Wait until `seen` returns something true; for real programs that tell nothing by events."""
    deadline = time.monotonic() + timeout
    while not seen():
        assert time.monotonic() < deadline, f"no {wanted}"
        time.sleep(0.02)
