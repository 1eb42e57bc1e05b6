"""The installed command with a one-time code: on a terminal, in a pipe, and where none is given."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import text_answer
from tests.support.misbehaving import AnsweringIssuer
from tests.support.program import Piped, Terminal, environment, run
from tests.support.scanning import picture_of, read
from tests.support.stored_files import OLD

DEVICE = ("login", "--device-auth")


@pytest.fixture
def issuer() -> Iterator[PracticeIssuer]:
    """An issuer that can be asked often."""
    with AnsweringIssuer() as running:
        yield running


@pytest.fixture
def disabled(codex_home: Path) -> Iterator[dict[str, str]]:
    """The environment of an issuer that has device codes switched off, as some workspaces have."""
    with AnsweringIssuer() as issuer:
        issuer.codes = text_answer(404, "Not found")
        yield environment(codex_home, issuer.issuer)


def _decide(issuer: PracticeIssuer, shown: str, decision: str = "approve") -> None:
    """Type the code that is shown into the issuer's page."""
    found = re.search(r"(?m)^([A-Z0-9]{4}-[A-Z0-9]{4})\s*$", shown)
    assert found, shown
    approve_device(f"{issuer.issuer}/codex/device", found[1], decision=decision)


APPROVED = ("approve", 0, "chatgpt", "Signed in to Codex as ada@example.com")
DENIED = ("deny", 3, "apikey", "Error: The sign-in was denied.")


@pytest.mark.parametrize(
    ("option", "told"),
    [("--device-auth", APPROVED), ("--device-code", APPROVED), ("--device-auth", DENIED)],
)
def test_the_persons_decision_is_noticed(
    option: str,
    told: tuple[str, int, str, str],
    issuer: PracticeIssuer,
    environ: dict[str, str],
    codex_home: Path,
) -> None:
    """Without any terminal page and code are printed; then Codex is in, or all is as it was."""
    (codex_home / "auth.json").write_bytes(OLD)
    decision, exit_code, mode, phrase = told
    with Piped("login", option, environ=environ) as piped:
        piped.read_until("--paste-redirect")
        _decide(issuer, piped.err, decision)
        outcome = piped.finish()
    assert outcome.exit_code == exit_code, outcome.err
    assert phrase in outcome.err
    assert "\x1b" not in outcome.err
    assert json.loads((codex_home / "auth.json").read_text())["auth_mode"] == mode


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
        assert lines[-1].startswith("Waiting for you")
        assert read(picture_of(terminal.screen)) == [page]
        _decide(issuer, "\n".join(lines))
        assert terminal.wait() == 0
        assert not any("Waiting for you" in line for line in terminal.lines)


def test_the_page_is_written_as_a_picture(
    issuer: PracticeIssuer, environ: dict[str, str], tmp_path: Path
) -> None:
    """--qr-file counts for this way, too."""
    path = tmp_path / "page.png"
    with Piped(*DEVICE, "--qr-file", str(path), environ=environ) as piped:
        piped.read_until(f"The QR code is in {path}")
        _decide(issuer, piped.err)
        assert piped.finish().exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_tiny_terminal_gets_the_code_at_least(
    issuer: PracticeIssuer, environ: dict[str, str]
) -> None:
    """Forty by twelve: no QR code, and page and code are there to be read."""
    with Terminal(*DEVICE, environ=environ, columns=40, rows=12) as terminal:
        terminal.read_until("Waiting for you|--paste-redirect")
        assert not re.search("\x1b\\[48;5;", terminal.text)
        _decide(issuer, terminal.text.replace("\r", ""))


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_interrupted(
    number: signal.Signals, exit_code: int, environ: dict[str, str], codex_home: Path
) -> None:
    """With the line taken off the screen, and the terminal as it was."""
    with Terminal(*DEVICE, environ=environ) as terminal:
        terminal.read_until("Waiting for you")
        terminal.interrupt(number)
        assert terminal.wait() == exit_code
        assert not any("Waiting for you" in line for line in terminal.lines)
        assert terminal.attributes == terminal.attributes_before
    assert not (codex_home / "auth.json").exists()


def test_where_it_is_not_enabled_the_paste_takes_over(
    disabled: dict[str, str], codex_home: Path
) -> None:
    """The issuer answers 404: said in a sentence, and the same command goes on."""
    with Terminal(*DEVICE, environ=disabled) as terminal:
        answer = approve(terminal.read_question())
        said = " ".join(terminal.text.split())
        assert "does not offer device codes here. Signing in by paste instead." in said
        terminal.paste(answer)
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_where_it_is_not_enabled_and_nothing_can_be_pasted(disabled: dict[str, str]) -> None:
    """Exit 3 with both ways out."""
    outcome = run(*DEVICE, environ=disabled)
    assert outcome.exit_code == 3
    for phrase in ("does not offer device codes", "ChatGPT Settings, Security", "--paste-redirect"):
        assert phrase in outcome.err


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
