"""Pasting into real terminals and pipes: early, long, broken, unmarked, dumb; never echoed."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.terminal.input import can_be_asked, is_windows_console
from tests.support.machine import has_mode, posix_shell
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, Variables, run, until, url_in
from tests.support.two_calls import TwoCalls

PASTE = ("login", "--paste-redirect")


def _assert_hidden(answer: str, shown: str) -> None:
    """Fail if the authorization code in an answer is shown."""
    assert answer.partition("code=")[2].partition("&")[0] not in shown


def _in_lines(answer: str, end: str) -> str:
    return end.join(answer[i : i + 79] for i in range(0, len(answer), 79))


def _marked(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


TERMS = ("dumb", "", "vt100", "linux", "screen", "nonsense")
TYPED: dict[str, Callable[[str], str]] = {
    # What the terminal sends for an answer.
    "marked": _marked,
    "marked, over lines, CR": lambda answer: _marked(_in_lines(answer, "\r")),
    "marked, over lines, LF": lambda answer: _marked(_in_lines(answer, "\n")),
    "unmarked, over lines, CR": lambda answer: _in_lines(answer, "\r") + "\r",
    "unmarked, over lines, LF": lambda answer: _in_lines(answer, "\n") + "\r",
    # Nothing cuts at 1024 or 4095 bytes: blanks beyond that are still only blanks.
    "sixty kilobytes": lambda answer: _marked(answer[:30] + " " * 60_000 + answer[30:]),
    **dict.fromkeys(("before the question", *TERMS), lambda answer: answer + "\r"),
}


@pytest.mark.parametrize("case", TYPED)
def test_what_a_terminal_sends(case: str, environ: Variables, codex_home: Path) -> None:
    """Line breaks are part of a paste, TERM may be anything, and nothing is echoed or lost."""
    if case in TERMS:
        environ["TERM"] = case
    with Terminal(*PASTE, environ=environ) as terminal:
        ready = terminal.read_url if case == "before the question" else terminal.read_question
        answer = approve(ready())
        terminal.send(TYPED[case](answer))
        assert terminal.wait() == 0
        assert "Signed in to Codex as ada@example.com" in terminal.text
        assert terminal.attributes == terminal.attributes_before
        _assert_hidden(answer, terminal.text)
        if case == "dumb":
            assert "\x1b" not in terminal.text
            assert "No QR code" in terminal.text
    auth_file = codex_home / "auth.json"
    assert json.loads(auth_file.read_text())["auth_mode"] == "chatgpt"
    assert has_mode(auth_file, 0o600)


def test_a_refused_paste_is_asked_for_again(calls: TwoCalls) -> None:
    """Wrong answers, each refused once and whole, do not end it; and typing can be corrected."""
    with calls.terminal(*PASTE) as terminal:
        url = terminal.read_question()
        answer = approve(url)
        wrong = {
            "hello": "not the address of the page",
            url: "address to open",
            answer.replace("state=", "state=x"): "another sign-in",
        }
        for pasted, phrase in wrong.items():
            terminal.paste(pasted)
            terminal.send("\r")
            terminal.read_until(f"(?s){phrase}.*{PROMPT}")
        terminal.send("x" * 8192 + "\r")
        terminal.read_until("(?s)(not the address.*){2}" + PROMPT)
        # None of the line is left; Backspace and Ctrl-U work on what cannot be seen.
        for typed, count in (("nonsense", 8), ("\x7f", 7), ("\x15zz", 2)):
            terminal.send(typed)
            terminal.read_screen_until(rf"\({count} characters\)")
        assert terminal.text.count("not the address") == 2
        assert calls.exchanges == 0
        terminal.send(f"\x15{answer}xy\x7f\x7f\r")
        assert terminal.wait() == 0
    assert calls.auth_file.exists()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12), (120, 50), (200, 60)])
def test_the_address_is_one_unbroken_run(columns: int, rows: int, environ: Variables) -> None:
    """From column 1 to its end nothing interrupts the address, at any width."""
    with Terminal(*PASTE, environ=environ, columns=columns, rows=rows) as terminal:
        terminal.read_until(PROMPT if columns >= 50 else "Paste the address")
        url = terminal.read_url()
        assert f"\n{url}\r\n" in terminal.text
        assert len(url) > 400


def test_standard_error_elsewhere(environ: Variables, tmp_path: Path) -> None:
    """With `2> file` the conversation goes there, and the paste is taken all the same."""
    log = tmp_path / "log"
    shell = f"{COMMAND} {' '.join(PASTE)} 2> {log}"
    with Terminal("-c", shell, environ=environ, command=("sh",)) as terminal:
        until(lambda: log.exists() and PROMPT in log.read_text())
        answer = approve(url_in(log.read_text()))
        terminal.send(answer + "\r")
        assert terminal.wait() == 0
        _assert_hidden(answer, terminal.text + log.read_text())


@posix_shell
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-", "<&-"])
def test_closed_streams_do_no_harm(closed: str, environ: Variables) -> None:
    """Without standard error, or without any stream, there is an exit code and no traceback."""
    command = ["sh", "-c", f"exec {COMMAND} {' '.join(PASTE)} {closed}"]
    null = subprocess.DEVNULL
    done = subprocess.run(command, stdin=null, capture_output=True, env=environ, timeout=30)
    assert done.returncode == 2, done
    assert b"Traceback" not in done.stderr + done.stdout


def test_nothing_to_read_is_wrong_usage(environ: Variables, issuer: PracticeIssuer) -> None:
    """Without a terminal and without input it ends at once, and asks no issuer."""
    outcome = run(*PASTE, environ=environ)
    assert outcome.exit_code == 2
    assert "no terminal and no input" in outcome.err
    assert not issuer.requests


def test_a_pipe_that_is_written_in_pieces(environ: Variables, codex_home: Path) -> None:
    """An answer that arrives in pieces, and broken over lines, is put together."""
    with Piped(*PASTE, environ=environ) as piped:
        answer = approve(piped.read_url())
        for piece in (answer[:40], answer[40:90] + "\n", answer[90:] + "\n"):
            with pytest.raises(subprocess.TimeoutExpired):
                piped.process.wait(0.3)  # it waits for more, longer than after a whole answer
            piped.write(piece)
        piped.read_until("Signed in to Codex")
    assert (codex_home / "auth.json").exists()


def test_time_runs_out(environ: Variables, codex_home: Path) -> None:
    """Without an answer it is exit 5: on a terminal, which is as it was, and at an open pipe."""
    with Terminal(*PASTE, "--timeout", "1", environ=environ) as terminal:
        assert terminal.wait() == 5
        assert "Timed out waiting" in terminal.text
        assert terminal.attributes == terminal.attributes_before
    with Piped(*PASTE, "--timeout", "1", environ=environ) as piped:
        assert piped.process.wait(20) == 5
    assert not (codex_home / "auth.json").exists()


def test_a_pipe_with_too_much_is_refused(environ: Variables) -> None:
    """More than 64 KiB is no answer, however much more follows."""
    outcome = run(*PASTE, environ=environ, stdin="x" * 200_000)
    assert outcome.exit_code == 3
    assert "64 KiB" in outcome.err


class _Console(io.StringIO):
    """What calls itself a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


@pytest.mark.parametrize("mode", [1, 0], ids=["console", "NUL"])
def test_no_question_is_asked_at_nul(mode: int) -> None:
    """Windows, where NUL calls itself a terminal: only what has a console's mode is one."""
    asked: list[int] = []

    def get_console_mode(handle: int, into: object) -> int:
        asked.append(handle)
        return mode if into is not None else 0

    is_console = partial(
        is_windows_console, handle_of=lambda it: it + 100, get_console_mode=get_console_mode
    )
    assert can_be_asked(stdin=_Console(), platform="win32", is_console=is_console) is bool(mode)
    assert asked == [100]
