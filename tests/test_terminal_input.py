"""Pasting into real terminals: early, long, broken, unmarked, dumb; never echoed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, environment, url_in


def _secret_of(answer: str) -> str:
    return answer.partition("code=")[2].partition("&")[0]


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("end", ["\r", "\n"], ids=["CR", "LF"])
def test_a_paste_broken_over_lines(
    marked: bool, end: str, environ: dict[str, str], codex_home: Path
) -> None:
    """Line breaks inside the paste are part of it, whether the terminal marks pastes or not."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        answer = approve(url)
        broken = end.join(answer[i : i + 79] for i in range(0, len(answer), 79))
        terminal.paste(broken, marked=marked)
        if not marked:
            terminal.send("\r")
        assert terminal.wait() == 0
        assert _secret_of(answer) not in terminal.text
    assert (codex_home / "auth.json").exists()


def test_a_paste_that_comes_before_the_question(environ: dict[str, str], codex_home: Path) -> None:
    """Whoever is faster than the program loses nothing, and sees nothing echoed."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        terminal.read_until(r"/oauth/authorize\?\S+\r\n")
        answer = approve(url_in(terminal.text.replace("\r\n", "\n")))
        terminal.send(answer + "\r")
        assert terminal.wait() == 0
        assert _secret_of(answer) not in terminal.text
    assert (codex_home / "auth.json").exists()


def test_a_paste_of_sixty_kilobytes(environ: dict[str, str], codex_home: Path) -> None:
    """Nothing cuts at 1024 or 4095 bytes: blanks beyond that are still only blanks."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        answer = approve(url)
        terminal.paste(answer[:30] + " " * 60_000 + answer[30:])
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_a_line_of_eight_kilobytes_unmarked(environ: dict[str, str]) -> None:
    """A long wrong line is refused whole, not taken for several answers."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        terminal.read_until(PROMPT)
        terminal.send("x" * 8192 + "\r")
        terminal.read_until("not the address")
        time.sleep(0.5)
        assert terminal.text.count("not the address") == 1


def test_a_mistake_can_be_rubbed_out(environ: dict[str, str], codex_home: Path) -> None:
    """Backspace and Ctrl-U work on what cannot be seen; the count shows it."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.send("nonsense")
        terminal.read_until("8 characters")
        terminal.send("\x7f")
        terminal.read_until("7 characters|7\x1b")
        terminal.send("\x15")
        terminal.send(approve(url) + "xy\x7f\x7f\r")
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


@pytest.mark.parametrize("term", ["dumb", "", "vt100", "linux", "screen", "nonsense"])
def test_every_kind_of_terminal(term: str, issuer: PracticeIssuer, codex_home: Path) -> None:
    """TERM may be anything; a dumb terminal gets plain lines without escape sequences."""
    environ = environment(codex_home, issuer.issuer, TERM=term)
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        answer = approve(url)
        terminal.send(answer + "\r")
        assert terminal.wait() == 0
        assert _secret_of(answer) not in terminal.text
        if term == "dumb":
            assert "\x1b" not in terminal.text
            assert "No QR code" in terminal.text


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12), (120, 50), (200, 60)])
def test_the_address_is_one_unbroken_run(columns: int, rows: int, environ: dict[str, str]) -> None:
    """From column 1 to its end nothing interrupts the address, at any width."""
    with Terminal(
        "login", "--paste-redirect", environ=environ, columns=columns, rows=rows
    ) as terminal:
        url = terminal.read_url()
        terminal.read_until("Paste the address")
        assert f"\n{url}\r\n" in terminal.text
        assert len(url) > 400
        rows_shown = "".join(terminal.lines)
        if rows >= 24:
            assert url in rows_shown.replace("\n", "") or columns > len(url)


def test_the_code_stands_with_address_and_question(environ: dict[str, str]) -> None:
    """At 120 by 50 address, QR code and question are on the screen together, in this order."""
    with Terminal("login", "--paste-redirect", environ=environ, columns=120, rows=50) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        time.sleep(0.1)
        terminal.read_until(PROMPT)
        shown = "\n".join(terminal.lines)
        assert shown.index(url[:60]) < shown.index("▄") < shown.index(PROMPT)
        assert max(len(line) for line in terminal.lines) <= 120


def test_at_80_by_24_a_line_says_why_there_is_no_code(environ: dict[str, str]) -> None:
    """Too small: no torn code, but the size it needs; everything still fits the screen."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        shown = "\n".join(terminal.lines)
        assert "▄" not in shown
        assert "QR code: needs 80x45, has 80x24" in shown
        assert url[:70] in shown
        assert PROMPT in shown


def test_standard_error_elsewhere(issuer: PracticeIssuer, codex_home: Path, tmp_path: Path) -> None:
    """With `2> file` the conversation goes there, and the paste is taken all the same."""
    log = tmp_path / "log"
    environ = environment(codex_home, issuer.issuer)
    shell = f"{COMMAND} login --paste-redirect 2> {log}"
    with Terminal("-c", shell, environ=environ, command=("sh",)) as terminal:
        deadline = time.monotonic() + 20
        while not (log.exists() and PROMPT in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answer = approve(url_in(log.read_text()))
        time.sleep(0.5)
        terminal.send(answer + "\r")
        assert terminal.wait() == 0
        assert _secret_of(answer) not in terminal.text + log.read_text()


def test_closed_streams_do_no_harm(issuer: PracticeIssuer, codex_home: Path) -> None:
    """Without standard error, or without any stream, there is an exit code and no traceback."""
    environ = environment(codex_home, issuer.issuer)
    for closed, codes in (("2>&-", {2}), ("<&- >&- 2>&-", {2}), ("<&-", {2})):
        done = subprocess.run(
            ["sh", "-c", f"{COMMAND} login --paste-redirect {closed}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ,
            check=False,
            timeout=30,
        )
        assert done.returncode in codes, (closed, done)
        assert b"Traceback" not in done.stderr + done.stdout


def test_a_pipe_that_is_written_in_pieces(environ: dict[str, str], codex_home: Path) -> None:
    """An answer that arrives in pieces, and broken over lines, is put together."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        answer = approve(piped.read_url())
        assert piped.process.stdin
        for piece in (answer[:40], answer[40:90] + "\n", answer[90:] + "\n"):
            piped.process.stdin.write(piece.encode())
            piped.process.stdin.flush()
            time.sleep(0.3)
        piped.read_until("Signed in to Codex")
    assert (codex_home / "auth.json").exists()


def test_a_pipe_that_says_nothing_times_out(environ: dict[str, str]) -> None:
    """An open pipe without an answer ends with the time-out: exit 5."""
    with Piped("login", "--paste-redirect", "--timeout", "1", environ=environ) as piped:
        started = time.monotonic()
        assert piped.process.wait(20) == 5
        assert time.monotonic() - started < 5


def test_a_pipe_with_too_much_is_refused(environ: dict[str, str]) -> None:
    """More than 64 KiB is no answer, however much more follows."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        piped.read_url()
        outcome = piped.finish("x" * 200_000)
    assert outcome.exit_code == 3
    assert "64 KiB" in outcome.err


def test_in_a_real_tmux(issuer: PracticeIssuer, codex_home: Path, tmp_path: Path) -> None:
    """A real terminal multiplexer, with its own idea of pasting."""
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("tmux is not installed")
    environ = environment(codex_home, issuer.issuer, TMUX_TMPDIR=str(tmp_path))
    base = [tmux, "-f", os.devnull, "-L", "headless-login"]

    def ask(*command: str) -> str:
        done = subprocess.run(
            [*base, *command], env=environ, capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    ask("new-session", "-d", "-x", "80", "-y", "24", f"{COMMAND} login --paste-redirect; cat")
    try:
        deadline = time.monotonic() + 20
        while PROMPT not in (shown := ask("capture-pane", "-p", "-J")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        answer = approve(url_in(shown))
        ask("set-buffer", "--", answer)
        ask("paste-buffer", "-p")
        while "Signed in to Codex" not in (shown := ask("capture-pane", "-p", "-J")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        assert _secret_of(answer) not in shown
    finally:
        ask("kill-server")
