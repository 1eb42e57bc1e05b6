"""The installed command with a one-time code: on a terminal, in a pipe, and where none is given."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import Parameters, json_answer, text_answer
from tests.support.program import PROMPT, Piped, Terminal, environment, run
from tests.support.scanning import picture_of, read

DEVICE = ("login", "--device-auth")


class QuickIssuer(PracticeIssuer):
    """May be asked every second."""

    def user_code_answer(self, form: Parameters) -> Answer:
        """As usual, but for the interval."""
        document = json.loads(super().user_code_answer(form).body)
        return json_answer(200, document | {"interval": "1"})


class DisabledIssuer(PracticeIssuer):
    """Has device codes switched off, as some workspaces have."""

    def user_code_answer(self, form: Parameters) -> Answer:  # noqa: ARG002
        """Answer as if there were no such endpoint."""
        return text_answer(404, "Not found")


@pytest.fixture
def issuer() -> Iterator[PracticeIssuer]:
    """An issuer that can be asked often."""
    with QuickIssuer() as running:
        yield running


def _code(text: str) -> str:
    found = re.search(r"(?m)^([A-Z0-9]{4}-[A-Z0-9]{4})\s*$", text)
    assert found, text
    return found[1]


@pytest.mark.parametrize("option", ["--device-auth", "--device-code"])
def test_a_person_approves(
    option: str, issuer: PracticeIssuer, environ: dict[str, str], codex_home: Path
) -> None:
    """Without any terminal: page and code are printed, the approval is noticed, Codex is in."""
    with Piped("login", option, environ=environ) as piped:
        piped.read_until("--paste-redirect")
        approve_device(f"{issuer.issuer}/codex/device", _code(piped.err))
        outcome = piped.finish()
    assert outcome.exit_code == 0, outcome.err
    assert "Signed in to Codex as ada@example.com" in outcome.err
    assert "\x1b" not in outcome.err
    assert json.loads((codex_home / "auth.json").read_text())["auth_mode"] == "chatgpt"


def test_a_person_says_no(
    issuer: PracticeIssuer, environ: dict[str, str], codex_home: Path
) -> None:
    """Exit 3, and nothing is written."""
    with Piped(*DEVICE, environ=environ) as piped:
        piped.read_until("--paste-redirect")
        page = f"{issuer.issuer}/codex/device"
        approve_device(page, _code(piped.err), decision="deny")
        outcome = piped.finish()
    assert outcome.exit_code == 3
    assert "Error: The sign-in was denied." in outcome.err
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (80, 30), (120, 50)])
def test_page_code_and_letters_stand_on_the_screen(
    columns: int, rows: int, issuer: PracticeIssuer, environ: dict[str, str]
) -> None:
    """On the smallest screen as well; the page can be scanned, and a line counts down."""
    with Terminal(*DEVICE, environ=environ, columns=columns, rows=rows) as terminal:
        terminal.read_until(r"Waiting for you to approve there, 1[45]:\d\d left")
        page = f"{issuer.issuer}/codex/device"
        lines = [line for line in terminal.lines if line]
        assert page in lines
        code = _code("\n".join(lines))
        assert lines[-1].startswith("Waiting for you")
        assert read(picture_of(terminal.screen)) == [page]
        approve_device(page, code)
        assert terminal.wait() == 0
        assert not any("Waiting for you" in line for line in terminal.lines)


def test_the_page_is_written_as_a_picture(
    issuer: PracticeIssuer, environ: dict[str, str], tmp_path: Path
) -> None:
    """--qr-file counts for this way, too."""
    path = tmp_path / "page.png"
    with Piped(*DEVICE, "--qr-file", str(path), environ=environ) as piped:
        piped.read_until(f"The QR code is in {path}")
        approve_device(f"{issuer.issuer}/codex/device", _code(piped.err))
        assert piped.finish().exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_tiny_terminal_gets_the_code_at_least(environ: dict[str, str]) -> None:
    """Forty by twelve: no QR code, and page and code are there to be read."""
    with Terminal(*DEVICE, environ=environ, columns=40, rows=12) as terminal:
        terminal.read_until("Waiting for you|--paste-redirect")
        assert _code(terminal.text.replace("\r", ""))
        assert not re.search("\x1b\\[48;5;", terminal.text)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_interrupted_at_once(
    number: signal.Signals, exit_code: int, environ: dict[str, str], codex_home: Path
) -> None:
    """Within a second, with the line taken off the screen."""
    with Terminal(*DEVICE, environ=environ) as terminal:
        terminal.read_until("Waiting for you")
        started = time.monotonic()
        terminal.interrupt(number)
        assert terminal.wait(5) == exit_code
        assert time.monotonic() - started < 1
        assert terminal.attributes == terminal.attributes_before
    assert not (codex_home / "auth.json").exists()


def test_where_it_is_not_enabled_the_paste_takes_over(codex_home: Path) -> None:
    """The issuer answers 404: said in a sentence, and the same command goes on."""
    with DisabledIssuer() as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Terminal(*DEVICE, environ=environ) as terminal:
            url = terminal.read_url()
            assert "does not offer device codes here. Signing in by paste instead." in " ".join(
                terminal.text.split()
            )
            terminal.read_until(PROMPT)
            terminal.paste(approve(url))
            assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_where_it_is_not_enabled_and_nothing_can_be_pasted(codex_home: Path) -> None:
    """Exit 3 with both ways out."""
    with DisabledIssuer() as issuer:
        outcome = run(*DEVICE, environ=environment(codex_home, issuer.issuer))
    assert outcome.exit_code == 3
    assert "does not offer device codes" in outcome.err
    assert "ChatGPT Settings, Security" in outcome.err


def test_the_time_out_is_the_shorter_of_two(environ: dict[str, str]) -> None:
    """--timeout counts for this way, too."""
    outcome = run(*DEVICE, "--timeout", "2", environ=environ)
    assert outcome.exit_code == 5
    assert "expired" in outcome.err


def test_two_ways_at_once_are_wrong_usage(environ: dict[str, str]) -> None:
    """Nobody is left guessing which one was taken."""
    outcome = run(*DEVICE, "--paste-redirect", environ=environ)
    assert outcome.exit_code == 2
    assert "--paste-redirect and --device-auth are different sign-ins" in outcome.err
