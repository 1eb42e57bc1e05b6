"""Running a client (`ssh`, `docker`, …) with input and a limit; the one place that starts them."""

from __future__ import annotations

import os
import subprocess  # nosec B404
import threading
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

_MOST = 4 * 1024 * 1024  # bytes of an answer


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
        words, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environ)
    ) as process:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        said: list[bytes] = []
        helpers = [
            threading.Thread(target=_give, args=(process.stdin, given), daemon=True),
            threading.Thread(target=_take, args=(process.stderr, said), daemon=True),
        ]
        for each in (timer, *helpers):
            each.daemon = True
            each.start()
        try:
            out = _answer_in(process.stdout)
            exit_code = process.wait()
            # A connection that the user's ssh shares keeps this stream open after the end.
            helpers[1].join(1.0)
        finally:
            timer.cancel()
            process.kill()
    if late.is_set():
        raise TimeoutError
    return Reply(exit_code, out, b"".join(said).decode(errors="replace"))


def _give(stream: IO[bytes] | None, content: bytes) -> None:
    assert stream is not None  # noqa: S101  # nosec B101
    try:
        stream.write(content)
        stream.close()
    except OSError:
        pass  # it has ended before, and its exit code says so


def _take(stream: IO[bytes] | None, into: list[bytes]) -> None:
    assert stream is not None  # noqa: S101  # nosec B101
    left = _MOST
    while left > 0 and (chunk := os.read(stream.fileno(), 65536)):
        into.append(chunk)
        left -= len(chunk)


def _answer_in(stream: IO[bytes] | None) -> bytes:
    chunks: list[bytes] = []
    _take(stream, chunks)
    return b"".join(chunks)
