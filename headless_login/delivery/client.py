"""Running the client of a target (`ssh`, `docker`, …), and the program there through it.

The one place that starts them. The program (`remote.sh`) comes first on its standard input, then
what it works with, line by line, and at last the credentials.
"""

from __future__ import annotations

import os
import subprocess  # nosec B404
import threading
from collections.abc import Callable, Mapping, Sequence

from headless_login.delivery.target import Target
from headless_login.errors import LocalTrouble
from headless_login.oauth.text import one_line, printable
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import IO

TIMEOUT = 120.0  # seconds; a person may have to type a password, or to touch a key
_MOST = 4 * 1024 * 1024  # bytes of an answer; a client that says more is ended
_GRACE = (5.0, 1.0)  # seconds for what is left in both streams, after the client has ended


class Reply(NamedTuple):
    """What a client's run brought: its exit code, and what came on both streams."""

    exit_code: int
    out: bytes
    err: str


RunClient = Callable[[Sequence[str], bytes, Mapping[str, str], float], Reply]


def run_client(
    words: Sequence[str], given: bytes, environ: Mapping[str, str], timeout: float
) -> Reply:
    """Run a client with this on its standard input; it has `timeout` seconds.

    Raises:
        OSError: it cannot be run.
        TimeoutError: it did not end in time.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # nosec B603
        words, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environ), bufsize=0
    )
    late = threading.Event()
    out: list[bytes] = []
    err: list[bytes] = []

    def give_up() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout, give_up)
    streams = ((process.stdout, out, process.kill), (process.stderr, err, lambda: None))
    takers = [_thread(_take, *each) for each in streams]
    try:
        for each in (timer, _thread(_give, process.stdin, given), *takers):
            each.daemon = True
            each.start()
        exit_code = process.wait()
        # What the client has started may keep them open: a connection that the user's ssh
        # shares with others, or the program that a wrapper of it has run.
        for taker, seconds in zip(takers, _GRACE, strict=True):
            taker.join(seconds)
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    told = b"".join(out), b"".join(err)
    if late.is_set():
        raise TimeoutError
    if len(told[0]) >= _MOST:
        return Reply(exit_code, b"", f"more than {_MOST >> 20} MiB, which is no answer")
    return Reply(exit_code, told[0], told[1].decode(errors="replace"))


def _thread(work: Callable[..., None], *given: object) -> threading.Thread:
    return threading.Thread(target=work, args=given, daemon=True)


# A stream is closed by the thread that uses it: elsewhere, Windows has whoever closes one wait for
# the end of a read.


def _give(stream: IO[bytes], content: bytes) -> None:
    left = memoryview(content)
    try:
        with stream:
            while left:
                left = left[os.write(stream.fileno(), left) :]
    except OSError:
        pass  # it has ended before, and its exit code says so


def _take(stream: IO[bytes], into: list[bytes], too_much: Callable[[], None]) -> None:
    left = _MOST
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            if left > 0:
                into.append(chunk)
                left -= len(chunk)
            else:
                too_much()


class Refused(LocalTrouble):
    """The program there says that nothing was changed."""


class Changed(Refused):
    """Another program has written auth.json since it was looked at."""


class RemoteProgram:
    """The program that does all that is done at a target."""

    def __init__(
        self,
        target: Target,
        environ: Mapping[str, str],
        timeout: float,
        run: RunClient,
        *,
        may_ask: bool,
    ) -> None:
        """`timeout` in seconds for one run; `may_ask`: the client may ask the person."""
        self._target = target
        self._environ = environ
        self._timeout = timeout
        self._run = run
        self._may_ask = may_ask

    def call(self, action: str, known: str = "", content: bytes = b"") -> dict[str, list[str]]:
        """Run the program there; returns what it has told, line by line, by the first word.

        Raises:
            LocalTrouble: `delivery_failed`.
        """
        mark = os.urandom(6).hex()
        lines = [mark, action, self._target.folder, known, str(len(content)), *sums_of(content)]
        given = "\n".join([_program() + "END", *lines, ""]).encode(errors="surrogateescape")
        words = self._target.words(may_ask=self._may_ask)
        reason = ""
        try:
            reply = self._run(words, given + content, self._environ, self._timeout)
        except TimeoutError:
            reason = f"no answer came within {self._timeout:.0f} seconds."
        except OSError as error:
            client = self._target.client
            reason = f"`{client}` cannot be run here: {error.strerror or type(error).__name__}."
        if reason:
            raise self._failed(reason)
        told: dict[str, list[str]] = {}
        for line in reply.out.decode(errors="surrogateescape").split("\n"):
            marked, _, rest = line.removesuffix("\r").partition(" ")
            if marked == mark:
                name, _, value = rest.partition(" ")
                told.setdefault(name, []).append(value)
        if "done" not in told:
            raise self._failure(told, reply)
        return told

    def _failure(self, told: Mapping[str, Sequence[str]], reply: Reply) -> LocalTrouble:
        if "failed" in told:
            kind, _, what = " ".join(told["failed"]).partition(": ")
            if kind == "changed":
                return Changed("delivery_failed", what)
            return self._failed(f"{printable(_first_line(what))}.", _HINTS.get(kind, ""), Refused)
        heard = reply.err
        if not told and reply.exit_code in _NOT_RUN:  # docker says it on its standard output
            heard = f"{reply.out.decode(errors='replace')}\n{heard}"
        said = [line for line in heard.splitlines() if line.strip()]
        client = self._target.client
        if said:
            what = printable(said[-1])
            return self._failed(f"{client} says: {what}{'' if what[-1:] in '.?!' else '.'}")
        return self._failed(f"{client} ended before it was done (exit code {reply.exit_code}).")

    def _failed(
        self, what: str, hint: str = "", kind: type[LocalTrouble] = LocalTrouble
    ) -> LocalTrouble:
        return failure(self._target, what, hint, kind)


def failure(
    target: Target, what: str, hint: str = "", kind: type[LocalTrouble] = LocalTrouble
) -> LocalTrouble:
    """Return the `delivery_failed` of a target; without a hint, by what it can be tried."""
    hint = hint or f"See whether this works: {target.trial}"
    return kind("delivery_failed", f"{one_line(target.given)}: {what}", hint)


_NOT_RUN = (126, 127)  # exit codes of shells and containers: there is no such program
_HINTS = {
    "folder": "Name another folder, as in ssh://HOST/DIR, or fix that there.",
    "file": "Fix that there.",
    "write": "Make room, or give its user the right to write there.",
    "locked": "Close Codex there, and try again.",
    "cut": "Try again.",
    "shell": "Let sh there be dash, bash, ksh, zsh or BusyBox.",
    "tool": "Install one of them there.",
}


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip().rstrip(".")


def _program() -> str:
    from importlib.resources import files

    return (files("headless_login.delivery") / "remote.sh").read_text("utf-8")


def sums_of(content: bytes) -> tuple[str, str]:
    """Return what the program there may tell an auth.json by: its cksum(1), or its SHA-256."""
    from hashlib import sha256

    return cksum(content), sha256(content).hexdigest()


def cksum(content: bytes) -> str:
    """Return the checksum and the size that cksum(1) of POSIX prints."""
    crc, size = 0, len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8, "little")
    for byte in content + length:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return f"{crc ^ 0xFFFFFFFF} {size}"
