"""Ctrl-C and SIGTERM at any moment: the right exit code, the terminal as it was, nothing torn."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Sequence

import pytest

from headless_login.practice.person import approve
from headless_login.practice.wire import Answer
from tests.support.listening import free_port
from tests.support.machine import posix_signals
from tests.support.program import COMMAND, PROMPT, Terminal, events_in, until
from tests.support.two_calls import FINISH, PENDING, START, TwoCalls

PASTE = ("login", "--paste-redirect")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def _assert_left_clean(terminal: Terminal, calls: TwoCalls) -> None:
    assert terminal.attributes == terminal.attributes_before
    assert "Traceback" not in terminal.text
    assert {path.name for path in calls.home.iterdir()} <= {PENDING}


# What was typed before, what ends the question, and the exit code.
ENDS: dict[str, tuple[str, signal.Signals | str, int]] = {
    "SIGINT": ("", signal.SIGINT, 130),
    "SIGTERM": ("", signal.SIGTERM, 143),
    "the key Ctrl-C": ("", "\x03", 130),
    "the key in the middle of a paste": ("http://127.0.0.1:1455/auth/ca", "\x03", 130),
    "Ctrl-D on an empty line": ("", "\x04", 2),  # no answer, as without a terminal
}


@pytest.mark.parametrize("case", ENDS)
def test_the_end_of_the_question(case: str, calls: TwoCalls) -> None:
    """While the person is away looking for the address, or on the way back with it."""
    typed, end, exit_code = ENDS[case]
    with calls.terminal(*PASTE) as terminal:
        terminal.read_until(PROMPT)
        if typed:
            terminal.send(typed)
            terminal.read_until("characters")
        if isinstance(end, signal.Signals):
            terminal.interrupt(end)
        else:
            terminal.send(end)
        assert terminal.wait() == exit_code
        assert ("Interrupted." in terminal.text) is (exit_code == 130)
        _assert_left_clean(terminal, calls)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_during_the_exchange(number: signal.Signals, calls: TwoCalls) -> None:
    """While a server hangs: the end does not wait for its answer."""
    calls.issuer.tokens = lambda _: Answer(200) if calls.issuer.stopped.wait(60) else None
    with calls.terminal(*PASTE) as terminal:
        terminal.paste(approve(terminal.read_question()))
        until(lambda: calls.exchanges)
        terminal.interrupt(number)
        assert terminal.wait() == CODES[number]
        _assert_left_clean(terminal, calls)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_listening_frees_the_port(number: signal.Signals, calls: TwoCalls) -> None:
    """The next sign-in can have the port at once."""
    port = free_port()
    with calls.terminal("login", "--port", str(port)) as terminal:
        terminal.read_until(PROMPT)
        terminal.interrupt(number)
        assert terminal.wait() == CODES[number]
        _assert_left_clean(terminal, calls)
    socket.create_server(("127.0.0.1", port)).close()


# Sends itself a signal at the n-th thing that the interpreter tells of (each import, file and
# connection), counted from the first one of a kind.
SIGNALLED = """
import os, sys
from headless_login.__main__ import run
number, kind, left = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def watch(event, details):
    global kind, left
    kind = "" if event == kind else kind
    if not kind:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

sys.argv[1:] = sys.argv[4:]
sys.addaudithook(watch)
run()
"""
# A command, from what on its steps are counted, and the steps; there are about as many.
MOMENTS: dict[tuple[str, ...], tuple[str, Sequence[int]]] = {
    START: ("", range(1, 1500, 200)),
    (*FINISH, "-"): ("", range(1, 3400, 400)),
    PASTE: ("socket.connect", range(1, 45, 4)),  # the exchange, and all that comes after it
}


@posix_signals
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("words", MOMENTS, ids=" ".join)
def test_a_signal_at_any_moment(
    words: tuple[str, ...], number: signal.Signals, calls: TwoCalls
) -> None:
    """Either the signal's code, or done and complete; events are whole, and nothing half stays."""
    kind, moments = MOMENTS[words]
    for moment in moments:
        calls.auth_file.unlink(missing_ok=True)
        answer = calls.answered() if words != PASTE else ""
        command = [sys.executable, "-c", SIGNALLED, str(int(number)), kind, str(moment)]
        with calls.piped(*words, "--json", command=command) as piped:
            answer = answer or approve(piped.read_url())
            outcome = piped.finish(f"{answer}\n")
        # Before the handler is there the signal itself ends it, which a shell calls the same code.
        ended_by = -int(number) if number != signal.SIGINT else CODES[number]
        assert outcome.exit_code in (0, CODES[number], ended_by), outcome
        assert "Traceback" not in outcome.err
        events = events_in(outcome.out)
        if outcome.exit_code == 0:
            assert events[-1]["event"] in ("authorize", "signed_in")
            assert calls.auth_file.exists() is (words != START)
        if calls.auth_file.exists():
            assert calls.auth_file.read_bytes().endswith(b'Z"\n}')
        assert not list(calls.home.rglob(".auth-*"))
    assert all(json.loads(path.read_text()) for path in calls.records)
    assert calls.finish(calls.answered()).exit_code == 0


def test_the_rest_of_a_paste_never_reaches_the_shell(calls: TwoCalls) -> None:
    """What follows the answer in the same paste is dropped, not run as a command."""
    shell = f'{COMMAND} {" ".join(PASTE)}; echo "end $?"; read -t 1 rest; echo "[$rest]"'
    with calls.terminal("-c", shell, command=("bash", "--norc")) as terminal:
        terminal.paste(approve(terminal.read_question()))
        terminal.send("touch /tmp/oops\r")
        terminal.read_until(r"end 0")
        terminal.read_until(r"\[\]")
    assert calls.auth_file.exists()
