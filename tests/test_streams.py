"""Standard input and output of every kind: without an answer, silent, ended, full, or not ours."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from headless_login.terminal.input import read_pipe
from tests.support.machine import posix_paths
from tests.support.program import COMMAND, Piped, assert_ended, event_in
from tests.support.two_calls import FINISH, LOST, START, TwoCalls

PASTE = ("login", "--paste-redirect")


def _pipe(content: bytes) -> list[int]:
    out, into = os.pipe()
    os.write(into, content)
    os.close(into)
    return [out]


def _socket(end: Callable[[socket.socket], object]) -> list[int]:
    if sys.platform == "win32":
        pytest.skip("no socket is a file there: Node gives its children pipes")
    ours, theirs = socket.socketpair()
    end(theirs)
    return [each.detach() for each in (ours, theirs) if each.fileno() >= 0]


def _opened(path: str | Path, flags: int) -> list[int]:
    return [os.open(path, flags | os.O_CREAT)]


# Standard input in which there is no answer, and what else has to stay open meanwhile.
INPUTS: dict[str, Callable[[Path], list[int]]] = {
    "null": lambda _: _opened(os.devnull, os.O_RDONLY),
    "empty file": lambda folder: _opened(folder / "file", os.O_RDONLY),
    "write only": lambda folder: _opened(folder / "file", os.O_WRONLY),
    "ended pipe": lambda _: _pipe(b""),
    "blank pipe": lambda _: _pipe(b" \n\n"),
    # Node gives its children sockets for pipes.
    "closed socket": lambda _: _socket(socket.socket.close),
    "shut socket": lambda _: _socket(lambda it: it.shutdown(socket.SHUT_WR)),
}
# What waits for an answer, and what it says where none can come.
WAITING = {
    PASTE: "login start",
    FINISH: "There is no address",
    (*FINISH, "-"): "There is no address",
    (*FINISH, "--no-wait"): "awaits an address",
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("words", WAITING, ids=" ".join)
def test_without_an_answer_it_ends(
    words: tuple[str, ...], kind: str, tmp_path: Path, calls: TwoCalls
) -> None:
    """With exit code 2 and what to do instead; what is pending stays so."""
    calls.begin()
    descriptors = INPUTS[kind](tmp_path)
    with open(descriptors[0]) as stdin, calls.piped(*words, stdin=stdin) as piped:
        assert_ended(piped.finish(), 2, WAITING[words])
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    assert len(calls.records) == (2 if words == PASTE else 1)


@pytest.mark.parametrize("words", WAITING, ids=" ".join)
def test_without_any_standard_input_it_ends(words: tuple[str, ...], calls: TwoCalls) -> None:
    """Closed before it was started (`<&-`)."""
    calls.begin()
    with calls.piped(*words, command=("sh", "-c", 'exec "$0" "$@" <&-', COMMAND)) as piped:
        assert_ended(piped.finish(), 2, WAITING[words])


@pytest.mark.parametrize("words", [PASTE, FINISH, (*FINISH, "-")], ids=" ".join)
def test_a_terminal_in_the_background_is_no_input(words: tuple[str, ...], calls: TwoCalls) -> None:
    """It is neither read from nor changed, which would stop the program for good."""
    calls.begin()
    script = f"set -m; {COMMAND} {' '.join(words)} & wait $!; echo end=$?"
    with calls.terminal("-c", script, command=("bash",)) as terminal:
        assert "end=2" in terminal.read_until(r"end=\d+")


def test_a_pipe_that_stays_open_and_silent(calls: TwoCalls) -> None:
    """`--paste-redirect` waits for it, and says at once what else there is."""
    with calls.piped(*PASTE) as piped:
        piped.read_until("into the standard input of this command")
        piped.read_until("If nothing can: headless-login login start")
    assert not calls.records


def _held_open(calls: TwoCalls, text: str, *words: str) -> Piped:
    """Give a command some lines on a pipe that stays open, as programs often leave it."""
    piped = calls.piped(*words, "--json")
    piped.write(text)
    return piped


def test_a_pipe_that_stays_open_after_the_answer(calls: TwoCalls) -> None:
    """A line break ends the answer: a program need not close its end."""
    with _held_open(calls, f"{calls.answered()}\n", *FINISH) as piped:
        assert piped.process.wait(20) == 0


@pytest.mark.parametrize("another", [False, True], ids=["alone", "with another"])
def test_a_used_up_answer_on_an_open_pipe_is_refused(another: bool, calls: TwoCalls) -> None:
    """A whole line that can never be taken is refused with its own sentence, not waited on."""
    answer = calls.answered()
    assert_ended(calls.finish(answer), 0)
    if another:
        calls.begin()
    with _held_open(calls, f"{answer}\n", *FINISH, "-") as piped:
        assert piped.process.wait(20) == 3
        outcome = assert_ended(piped.finish(), 3, "used up")
    assert event_in(outcome) == LOST


NEVER = 600.0  # seconds


@pytest.mark.parametrize(
    ("content", "settles", "given_up"),
    [(b"answer\n", 0.01, NEVER), (b"answer", NEVER, 0.01), (b"another line\n", NEVER, 0.01)],
)
def test_a_silence_ends_what_can_be_judged(content: bytes, settles: float, given_up: float) -> None:
    """A short one after a whole answer, a longer one after what may still be completed."""
    out, into = os.pipe()
    reading = read_pipe(out, lambda text: "answer" in text, settles=settles, given_up=given_up)
    os.write(into, content)
    assert asyncio.run(reading) == content.decode()
    os.close(into)
    os.close(out)


IMPATIENT = """
import sys
from headless_login.commands.context import Context
from headless_login.commands.finish import finish
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import WrongUsage

try:
    finish(None, CodexFolder.find(sys.argv[1]), Context(), patience=0.2)
except WrongUsage as error:
    print(error.message)
"""


def test_finish_does_not_wait_long_for_nobody(calls: TwoCalls) -> None:
    """Without `-` a silent pipe is given up; what is pending stays so."""
    calls.begin()
    with calls.piped(*FINISH) as piped:
        piped.read_until("Reading the address from standard input")
    impatient = (sys.executable, "-c", IMPATIENT, str(calls.home))
    with calls.piped(command=impatient) as piped:
        assert piped.process.wait(20) == 0
        assert piped.process.stdout
        assert b"There is no address" in piped.process.stdout.read()
    assert len(calls.records) == 1


@pytest.mark.parametrize("options", [(), ("--json",), ("--device-auth",)])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_address_that_nobody_got_is_no_success(
    options: tuple[str, ...], calls: TwoCalls
) -> None:
    """The answer of `start` is all that it is for: where it cannot be written, the code says so."""
    assert _written_to(os.open("/dev/full", os.O_WRONLY), calls, *START, *options) == 6


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_is_gone_is_no_interrupt(options: tuple[str, ...], calls: TwoCalls) -> None:
    """`status | head -0`: the exit code is not 130, which scripts take for Ctrl-C."""
    out, into = os.pipe()
    os.close(out)
    assert _written_to(into, calls, "login", "status", *options) == 1


def _written_to(stdout: int, calls: TwoCalls, *words: str) -> int:
    """Return the exit code of a command whose standard output is that descriptor."""
    done = subprocess.run(
        [COMMAND, *words], stdout=stdout, stderr=subprocess.PIPE, env=calls.environ, timeout=60
    )
    os.close(stdout)
    assert b"defect" not in done.stderr
    return done.returncode


MISPLACED: dict[str, tuple[str, ...]] = {
    "no command": ("login", "{}\n"),
    "quotes": ("login", 'it\'s "{}"'),
    "at all": ("{}\n",),
    "no port": (*START, "--port", "{}\n"),
    "twice": (*FINISH, "{}", "{}\n"),
    "no option": (*FINISH, "--timeout={}\n"),
}


@pytest.mark.parametrize("case", MISPLACED)
def test_an_answer_in_the_wrong_place_is_not_repeated(case: str, calls: TwoCalls) -> None:
    """However the parser quotes what it did not understand, no code is on any stream."""
    answer = calls.answered()
    (code,) = parse_qs(urlsplit(answer).query)["code"]
    outcome = calls.run(*(word.format(answer) for word in MISPLACED[case]), "--json")
    assert event_in(outcome) == (2, "usage")
    assert code not in outcome.out + outcome.err
    assert calls.exchanges == 0


@pytest.mark.parametrize("name", ["typing", "secrets", "requests", "typer", "json", "re"])
def test_the_present_folder_is_not_imported(name: str, calls: TwoCalls, tmp_path: Path) -> None:
    """`python -m headless_login` runs nothing that happens to lie in the present folder."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('it was run')")
    command = [sys.executable, "-m", "headless_login", *START]
    done = subprocess.run(
        command, cwd=tmp_path, env=dict(calls.environ), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "it was run" in done.stderr) == (0, False), done.stderr


@posix_paths
def test_a_folders_name_moves_no_cursor(calls: TwoCalls, tmp_path: Path) -> None:
    """Control characters in it do not reach the terminal."""
    folder = tmp_path / "a\x1b[2J\x07b"
    outcome = calls.run(*START, "--codex-home", str(folder))
    assert outcome.exit_code == 0
    assert "Made the Codex folder" in outcome.err
    assert not [c for c in outcome.err if not c.isprintable() and c != "\n"]


def test_no_issuer_has_control_characters(calls: TwoCalls) -> None:
    for issuer in (
        "https://a\x1b[2J.example",
        "https://a.example/\x1b[2J",
        "https://a.example/\u202e",
    ):
        outcome = calls.run(*START, "--issuer", issuer)
        assert (outcome.exit_code, outcome.out) == (2, "")
        assert "\x1b" not in outcome.err
