"""Every kind of standard input that has no answer, for every command that could wait for one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Piped
from tests.support.two_calls import FINISH, answered, begin, records


@contextmanager
def _null(_: Path) -> Iterator[int]:
    with open(os.devnull) as file:
        yield file.fileno()


@contextmanager
def _ended_pipe(_: Path) -> Iterator[int]:
    out, into = os.pipe()
    os.close(into)
    yield out
    os.close(out)


@contextmanager
def _blank_pipe(_: Path) -> Iterator[int]:
    out, into = os.pipe()
    os.write(into, b" \n\n")
    os.close(into)
    yield out
    os.close(out)


@contextmanager
def _empty_file(folder: Path) -> Iterator[int]:
    (folder / "empty").touch()
    with open(folder / "empty") as file:
        yield file.fileno()


@contextmanager
def _write_only(folder: Path) -> Iterator[int]:
    with open(folder / "written", "w") as file:
        yield file.fileno()


INPUTS = {
    "null": _null,
    "ended pipe": _ended_pipe,
    "blank pipe": _blank_pipe,
    "empty file": _empty_file,
    "write only": _write_only,
}
WORDS = {
    "paste": (["login", "--paste-redirect"], 2, "login start"),
    "finish": ([*FINISH], 2, "There is no address"),
    "finish -": ([*FINISH, "-"], 2, "There is no address"),
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("words", WORDS)
def test_without_an_answer_it_ends(
    words: str, kind: str, environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """With exit code 2 and what to do instead; what is pending stays so."""
    begin(environ)
    command, exit_code, phrase = WORDS[words]
    with INPUTS[kind](tmp_path) as stdin:
        done = subprocess.run(
            [COMMAND, *command],
            stdin=stdin,
            env=environ,
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert done.returncode == exit_code, done.stderr
    assert phrase in done.stderr
    assert len(records(codex_home)) == (2 if words == "paste" else 1)


@pytest.mark.parametrize("words", WORDS)
def test_without_any_standard_input_it_ends(words: str, environ: dict[str, str]) -> None:
    """Closed before it was started (`<&-`)."""
    begin(environ)
    command, exit_code, phrase = WORDS[words]
    line = ["sh", "-c", 'exec "$0" "$@" <&-', COMMAND, *command]
    done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=10)
    assert done.returncode == exit_code, done.stderr
    assert phrase in done.stderr


def test_a_pipe_that_stays_open_and_silent(environ: dict[str, str], codex_home: Path) -> None:
    """`--paste-redirect` waits for it, and says at once what else there is."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        piped.read_until("write its whole address to the standard input")
        piped.read_until("If nothing can: headless-login login start")
    assert not records(codex_home)


def test_a_pipe_that_stays_open_after_the_answer(environ: dict[str, str]) -> None:
    """A line break ends the answer: a program need not close its end."""
    answer = answered(environ)
    with Piped(*FINISH, environ=environ) as piped:
        assert piped.process.stdin
        piped.process.stdin.write(f"{answer}\n".encode())
        piped.process.stdin.flush()
        assert piped.process.wait(20) == 0


IMPATIENT = """
import sys
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.commands.finish import finish
from headless_login.errors import WrongUsage

try:
    finish(None, CodexHome(sys.argv[1]), Context(), patience=0.2)
except WrongUsage as error:
    print(error.message)
"""


def test_finish_does_not_wait_long_for_nobody(environ: dict[str, str], codex_home: Path) -> None:
    """Without `-` a silent pipe is given up; what is pending stays so."""
    begin(environ)
    with Piped(*FINISH, environ=environ) as piped:
        piped.read_until("Reading the address from standard input")
    command = [sys.executable, "-c", IMPATIENT, str(codex_home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True
    ) as process:
        assert process.stdout
        assert "There is no address" in process.stdout.read()
    assert len(records(codex_home)) == 1
