"""The installed command with a one-time code: on a terminal, in a pipe, and where none is given."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import text_answer
from tests.support.program import assert_ended
from tests.support.scanning import picture_of, read
from tests.support.stored_files import OLD
from tests.support.two_calls import TwoCalls

DEVICE = ("login", "--device-auth")


def _decide(calls: TwoCalls, shown: str, decision: str = "approve") -> None:
    """Type the code that is shown into the issuer's page."""
    found = re.search(r"(?m)^([A-Z0-9]{4}-[A-Z0-9]{4})\s*$", shown)
    assert found, shown
    approve_device(f"{calls.issuer.issuer}/codex/device", found[1], decision=decision)


APPROVED = ("approve", 0, "chatgpt", "Signed in to Codex as ada@example.com")
DENIED = ("deny", 3, "apikey", "Error: The sign-in was denied.")


@pytest.mark.parametrize(
    ("option", "told"),
    [("--device-auth", APPROVED), ("--device-code", APPROVED), ("--device-auth", DENIED)],
)
def test_the_persons_decision_is_noticed(
    option: str, told: tuple[str, int, str, str], calls: TwoCalls
) -> None:
    """Without any terminal page and code are printed; then Codex is in, or all is as it was."""
    calls.auth_file.write_bytes(OLD)
    decision, exit_code, mode, phrase = told
    with calls.piped("login", option) as piped:
        _decide(calls, piped.read_until("--paste-redirect"), decision)
        outcome = assert_ended(piped.finish(), exit_code, phrase)
    assert "\x1b" not in outcome.err
    assert json.loads(calls.auth_file.read_text())["auth_mode"] == mode


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (80, 30), (120, 50)])
def test_page_code_and_letters_stand_on_the_screen(
    columns: int, rows: int, calls: TwoCalls
) -> None:
    """On the smallest screen as well; the page can be scanned, and a line counts down."""
    with calls.terminal(*DEVICE, columns=columns, rows=rows) as terminal:
        terminal.read_screen_until(r"Waiting for you to approve there: .*1[45]:\d\d left")
        page = f"{calls.issuer.issuer}/codex/device"
        lines = [line for line in terminal.lines if line]
        assert page in lines
        assert lines[-1].startswith("Waiting for you")
        assert read(picture_of(terminal.screen)) == [page]
        _decide(calls, "\n".join(lines))
        assert terminal.wait() == 0
        assert not any("Waiting for you" in line for line in terminal.lines)


def test_the_page_is_written_as_a_picture(tmp_path: Path, calls: TwoCalls) -> None:
    path = tmp_path / "page.png"
    with calls.piped(*DEVICE, "--qr-file", str(path)) as piped:
        _decide(calls, piped.read_until(f"The QR code is in {re.escape(str(path))}"))
        assert piped.finish().exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_tiny_terminal_gets_the_code_at_least(calls: TwoCalls) -> None:
    """Forty by twelve: no QR code, and page and code are there to be read."""
    with calls.terminal(*DEVICE, columns=40, rows=12) as terminal:
        terminal.read_until("Waiting for you|--paste-redirect")
        assert not re.search("\x1b\\[48;5;", terminal.text)
        _decide(calls, terminal.text.replace("\r", ""))


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_interrupted(number: signal.Signals, exit_code: int, calls: TwoCalls) -> None:
    """With the line taken off the screen, and the terminal as it was."""
    with calls.terminal(*DEVICE) as terminal:
        terminal.read_screen_until("Waiting for you.* left")
        terminal.interrupt(number)
        assert terminal.wait() == exit_code
        assert not any("Waiting for you" in line for line in terminal.lines)
        assert terminal.attributes == terminal.attributes_before
    assert not calls.auth_file.exists()


DISABLED = text_answer(404, "Not found")


def test_where_it_is_not_enabled_the_paste_takes_over(calls: TwoCalls) -> None:
    """The issuer answers 404: said in a sentence, and the same command goes on."""
    calls.issuer.codes = DISABLED
    with calls.terminal(*DEVICE) as terminal:
        answer = approve(terminal.read_question())
        said = " ".join(terminal.text.split())
        assert "does not offer device codes here. Signing in by paste instead." in said
        terminal.paste(answer)
        assert terminal.wait() == 0
    assert calls.auth_file.exists()


def test_where_it_is_not_enabled_and_nothing_can_be_pasted(calls: TwoCalls) -> None:
    calls.issuer.codes = DISABLED
    ways_out = ("ChatGPT Settings, Security", "--paste-redirect")
    assert_ended(calls.run(*DEVICE), 3, "does not offer device codes", *ways_out)


def test_the_time_out_is_the_shorter_of_two(calls: TwoCalls) -> None:
    assert_ended(calls.run(*DEVICE, "--timeout", "2"), 5, "expired")


def test_two_ways_at_once_are_wrong_usage(calls: TwoCalls) -> None:
    told = "--paste-redirect and --device-auth are different sign-ins"
    assert_ended(calls.run(*DEVICE, "--paste-redirect"), 2, told)
