"""Ctrl-C and SIGTERM at any moment: the right exit code, the terminal as it was, nothing torn."""

from __future__ import annotations

import random
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.misbehaving import HangingIssuer
from tests.support.program import Piped, Terminal, environment

BIN = str(Path(sys.executable).parent)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def _assert_left_clean(terminal: Terminal, codex_home: Path) -> None:
    assert terminal.attributes == terminal.attributes_before
    assert "Traceback" not in terminal.text
    assert not [path for path in codex_home.iterdir() if path.name.startswith(".auth-")]
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize("number", CODES)
def test_a_signal_at_the_question(
    number: signal.Signals, environ: dict[str, str], codex_home: Path
) -> None:
    """While the person is away looking for the address."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        terminal.read_until("Paste the address it ends at:")
        terminal.interrupt(number)
        assert terminal.wait(5) == CODES[number]
        _assert_left_clean(terminal, codex_home)


def test_the_key_ctrl_c_at_the_question(environ: dict[str, str], codex_home: Path) -> None:
    """The key itself, as the terminal sends it, even in the middle of a paste."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        terminal.read_until("Paste the address it ends at:")
        terminal.send("http://127.0.0.1:1455/auth/ca")
        terminal.read_until("characters")
        terminal.send("\x03")
        assert terminal.wait(5) == 130
        assert "Interrupted" in terminal.text
        _assert_left_clean(terminal, codex_home)


def test_ctrl_d_at_the_question_ends_it(environ: dict[str, str], codex_home: Path) -> None:
    """The end of input on an empty line is no answer: exit 2, as without a terminal."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        terminal.read_until("Paste the address it ends at:")
        terminal.send("\x04")
        assert terminal.wait(5) == 2
        _assert_left_clean(terminal, codex_home)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_during_the_exchange(number: signal.Signals, codex_home: Path) -> None:
    """While a server hangs: the end does not wait for its answer."""
    with HangingIssuer() as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Terminal("login", "--paste-redirect", environ=environ) as terminal:
            url = terminal.read_url()
            terminal.read_until("Paste the address it ends at:")
            terminal.paste(approve(url))
            terminal.read_until("fetching the tokens")
            time.sleep(0.3)
            started = time.monotonic()
            terminal.interrupt(number)
            assert terminal.wait(5) == CODES[number]
            assert time.monotonic() - started < 2
            _assert_left_clean(terminal, codex_home)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_listening_frees_the_port(number: signal.Signals, codex_home: Path) -> None:
    """The next sign-in can have the port at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with PracticeIssuer(redirect_ports=(port,)) as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Terminal("login", "--port", str(port), environ=environ) as terminal:
            terminal.read_until("Paste the address it ends at:")
            time.sleep(0.2)
            terminal.interrupt(number)
            assert terminal.wait(5) == CODES[number]
            _assert_left_clean(terminal, codex_home)
        with socket.create_server(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize("number", CODES)
def test_signals_at_random_moments(
    number: signal.Signals, issuer: PracticeIssuer, codex_home: Path
) -> None:
    """From the first import to the last line: either the signal's code, or done and complete."""
    dice = random.Random(number)  # noqa: S311
    environ = environment(codex_home, issuer.issuer)
    auth_file = codex_home / "auth.json"
    for _ in range(12):
        auth_file.unlink(missing_ok=True)
        with Piped("login", "--paste-redirect", environ=environ) as piped:
            answer = approve(piped.read_url())
            assert piped.process.stdin
            piped.process.stdin.write(answer.encode() + b"\n")
            piped.process.stdin.close()
            piped.process.stdin = None
            time.sleep(dice.uniform(0, 0.5))
            piped.process.send_signal(number)
            outcome = piped.finish(timeout=5)
        assert outcome.exit_code in (0, CODES[number]), outcome
        assert "Traceback" not in outcome.err
        assert not [path for path in codex_home.iterdir() if path.name.startswith(".auth-")]
        if auth_file.exists():
            assert auth_file.read_bytes().endswith(b'Z"\n}')
        else:
            assert outcome.exit_code == CODES[number]


def test_the_rest_of_a_paste_never_reaches_the_shell(
    environ: dict[str, str], codex_home: Path
) -> None:
    """What follows the answer in the same paste is dropped, not run as a command."""
    shell = 'headless-login login --paste-redirect; echo "end $?"; read -t 1 rest; echo "[$rest]"'
    with Terminal(
        "-c", shell, environ=environ | {"PATH": f"{BIN}:/usr/bin:/bin"}, command=("bash", "--norc")
    ) as terminal:
        url = terminal.read_url()
        terminal.read_until("Paste the address it ends at:")
        terminal.paste(approve(url))
        terminal.send("touch /tmp/oops\r")
        terminal.read_until(r"end 0")
        terminal.read_until(r"\[\]")
    assert (codex_home / "auth.json").exists()
