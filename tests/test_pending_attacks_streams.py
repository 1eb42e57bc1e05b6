"""Attacks on the streams of the two calls: silent pipes, sockets, full disks, signals, secrets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from headless_login.practice.issuer import PracticeIssuer
from tests.support.program import COMMAND, Piped, Terminal, run
from tests.support.two_calls import FINISH, START, answered, begin, events_in, finish, records

SOON = 8.0  # seconds; enough for any patience with somebody who still writes
PASTE = ("login", "--paste-redirect")


def _last(out: str) -> dict[str, object]:
    *_, event = events_in(out)
    return event


def _held(environ: dict[str, str], text: str, *words: str) -> tuple[int, dict[str, object]]:
    """Give a command some lines on a pipe that stays open, as programs often leave it."""
    with Piped(*words, "--json", environ=environ) as piped:
        assert piped.process.stdin
        assert piped.process.stdout
        piped.process.stdin.write(text.encode())
        piped.process.stdin.flush()
        try:
            exit_code = piped.process.wait(SOON)
        except subprocess.TimeoutExpired:
            pytest.fail("it still waits")
        return exit_code, _last(piped.process.stdout.read().decode())


@pytest.mark.parametrize("other", [False, True], ids=["alone", "with another"])
def test_a_used_up_answer_on_an_open_pipe_is_refused(other: bool, environ: dict[str, str]) -> None:
    """A whole line that can never be taken is refused with its own sentence, not waited on."""
    answer = answered(environ)
    assert finish(environ, answer).exit_code == 0
    if other:
        begin(environ)
    exit_code, event = _held(environ, f"{answer}\n", *FINISH, "-")
    assert (exit_code, event["error"]) == (3, "no_pending_login")
    assert "used up" in str(event["message"])


def _closed_socket() -> tuple[socket.socket, ...]:
    ours, theirs = socket.socketpair()
    theirs.close()
    return (ours,)


def _shut_socket() -> tuple[socket.socket, ...]:
    ours, theirs = socket.socketpair()
    theirs.shutdown(socket.SHUT_WR)
    return ours, theirs


@pytest.mark.parametrize("make", [_closed_socket, _shut_socket])
@pytest.mark.parametrize("words", [PASTE, FINISH, (*FINISH, "-"), (*FINISH, "--no-wait")])
def test_a_socket_that_has_ended_is_no_input(
    words: tuple[str, ...], make: Callable[[], tuple[socket.socket, ...]], environ: dict[str, str]
) -> None:
    """Node gives its children sockets for pipes: without input it ends at once all the same."""
    begin(environ)
    sockets = make()
    done = subprocess.run(
        [COMMAND, *words, "--json"],
        stdin=sockets[0].fileno(),
        env=environ,
        capture_output=True,
        text=True,
        timeout=SOON,
    )
    assert (done.returncode, _last(done.stdout)["error"]) == (2, "usage")
    for each in sockets:
        each.close()


@pytest.mark.parametrize("words", [PASTE, FINISH, (*FINISH, "-")])
def test_a_terminal_in_the_background_is_no_input(
    words: tuple[str, ...], environ: dict[str, str]
) -> None:
    """It is neither read from nor changed, which would stop the program for good."""
    begin(environ)
    script = f"set -m; {COMMAND} {' '.join(words)} & wait $!; echo end=$?"
    with Terminal("-c", script, environ=environ, command=("bash",)) as terminal:
        assert "end=2" in terminal.read_until(r"end=\d+", SOON)


@pytest.mark.parametrize("words", [START, (*START, "--json"), (*START, "--device-auth")])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_address_that_nobody_got_is_no_success(
    words: tuple[str, ...], environ: dict[str, str]
) -> None:
    """The answer of `start` is all that it is for: where it cannot be written, the code says so."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [COMMAND, *words], stdout=full, stderr=subprocess.PIPE, env=environ, timeout=30
        )
    assert done.returncode == 6
    assert b"defect" not in done.stderr


@pytest.mark.parametrize("words", [("login", "status"), ("login", "status", "--json")])
def test_a_reader_that_is_gone_is_no_interrupt(
    words: tuple[str, ...], environ: dict[str, str]
) -> None:
    """`status | head -0`: the exit code is not 130, which scripts take for Ctrl-C."""
    out, into = os.pipe()
    os.close(out)
    done = subprocess.run(
        [COMMAND, *words], stdout=into, stderr=subprocess.PIPE, env=environ, timeout=30
    )
    os.close(into)
    assert done.returncode == 1
    assert b"defect" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [(*START, "--json"), (*FINISH, "-", "--json")])
def test_a_signal_at_any_moment(
    words: tuple[str, ...], number: signal.Signals, environ: dict[str, str], codex_home: Path
) -> None:
    """Standard output is whole events or nothing, no traceback comes, nothing half stays."""
    for moment in (0.05, 0.07, 0.09, 0.12, 0.16):
        process = subprocess.Popen(
            [COMMAND, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
        )
        time.sleep(moment)
        process.send_signal(number)
        out, err = process.communicate("hello\n", 20)
        events = events_in(out)
        if process.returncode == 0:
            assert [event["event"] for event in events] == ["authorize"]
        assert ", in run" not in err  # before it begins, the interpreter speaks for itself
    assert all(json.loads(path.read_text()) for path in records(codex_home))
    assert finish(environ, answered(environ)).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("login", "{}\n"),
        ("login", 'it\'s "{}"'),
        ("{}\n",),
        (*START, "--port", "{}\n"),
        (*FINISH, "{}", "{}\n"),
        (*FINISH, "--timeout={}\n"),
    ],
    ids=["no command", "quotes", "at all", "no port", "twice", "no option"],
)
def test_an_answer_in_the_wrong_place_is_not_repeated(
    words: tuple[str, ...], environ: dict[str, str], issuer: PracticeIssuer
) -> None:
    """However the parser quotes what it did not understand, no code is on any stream."""
    answer = answered(environ)
    (code,) = parse_qs(urlsplit(answer).query)["code"]
    outcome = run(*(word.format(answer) for word in words), "--json", environ=environ)
    assert outcome.exit_code == 2
    assert _last(outcome.out)["error"] == "usage"
    assert code not in outcome.out + outcome.err
    assert not [request for request in issuer.requests if request.path == "/oauth/token"]
