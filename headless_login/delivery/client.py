"""Running a client (`ssh`, `docker`, …) with input and a limit; the one place that starts them."""

from __future__ import annotations

import os
import subprocess  # nosec B404
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

_MOST = 4 * 1024 * 1024  # bytes of an answer; a client that says more is ended
_GRACE = (5.0, 1.0)  # seconds for what is left in both streams, after the client has ended


class Reply(NamedTuple):
    """What a client's run brought: its exit code, and what came on both streams."""

    exit_code: int
    out: bytes
    err: str


def run_client(
    words: Sequence[str], given: bytes, environ: Mapping[str, str], timeout: float
) -> Reply:
    """Run a client with this on its standard input; it has `timeout` seconds.

    Raises:
        OSError: it cannot be run.
        TimeoutError: it did not end in time.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(  # nosec B603
        words, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environ), bufsize=0
    ) as process:
        late = threading.Event()
        out: list[bytes] = []
        err: list[bytes] = []

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        streams = ((process.stdout, out, process.kill), (process.stderr, err, lambda: None))
        takers = [_thread(_take, *each) for each in streams]
        for each in (timer, _thread(_give, process.stdin, given), *takers):
            each.daemon = True
            each.start()
        try:
            exit_code = process.wait()
            # What the client has started may keep them open: a connection that the user's ssh
            # shares with others, or the program that a wrapper of it has run.
            for taker, seconds in zip(takers, _GRACE, strict=True):
                taker.join(seconds)
        finally:
            timer.cancel()
            process.kill()
        told = b"".join(out), b"".join(err)
    if late.is_set():
        raise TimeoutError
    if len(told[0]) >= _MOST:
        return Reply(exit_code, b"", f"more than {_MOST >> 20} MiB, which is no answer")
    return Reply(exit_code, told[0], told[1].decode(errors="replace"))


def _thread(work: Callable[..., None], *given: object) -> threading.Thread:
    return threading.Thread(target=work, args=given, daemon=True)


def _give(stream: IO[bytes], content: bytes) -> None:
    left = memoryview(content)
    try:
        while left:
            left = left[os.write(stream.fileno(), left) :]
        stream.close()
    except (OSError, ValueError):
        pass  # it has ended before, and its exit code says so


def _take(stream: IO[bytes], into: list[bytes], too_much: Callable[[], None]) -> None:
    left = _MOST
    try:
        while chunk := os.read(stream.fileno(), 65536):
            if left > 0:
                into.append(chunk)
                left -= len(chunk)
            else:
                too_much()
    except (OSError, ValueError):
        pass  # it is closed, since its reader waits no longer
