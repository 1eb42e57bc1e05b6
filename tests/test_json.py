"""`--json`: one object a line on standard output, each as the schema says, and nothing else."""

from __future__ import annotations

import base64
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from tests.support.browsing import follow
from tests.support.listening import free_port
from tests.support.program import PROMPT, Piped, Terminal, environment, events_in, run, validator
from tests.support.two_calls import FINISH, START

API_KEY = "sk-practice-key-0123456789"


def _only(out: str) -> dict[str, Any]:
    (event,) = events_in(out)
    return event


def test_start_and_finish(environ: dict[str, str], codex_home: Path) -> None:
    """`authorize` carries all that a chat needs, `signed_in` all that a program wants to know."""
    outcome = run(*START, "--json", environ=environ)
    assert outcome.err == ""  # an agent that merges both streams still reads one line
    started = _only(outcome.out)
    assert started["event"] == "authorize"
    assert started["redirect_uri"] == "http://127.0.0.1:1455/auth/callback"
    left = datetime.fromisoformat(started["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    words = started["finish"][1:]  # need no shell; the answer goes to standard input
    assert words[:3] == ["login", "finish", "-"]
    answer = approve(started["url"])
    signed_in = _only(run(*words, "--json", environ=environ, stdin=answer).out)
    assert signed_in["event"] == "signed_in"
    assert signed_in["auth_file"] == str(codex_home / "auth.json")
    assert (signed_in["target"], signed_in["email"]) == (None, "ada@example.com")
    status = json.loads(run("login", "status", "--json", environ=environ).out)
    validator("status").validate(status)
    told = ("account_id", "plan", "access_token_expires_at", "auth_file")
    assert {name: status[name] for name in told} == {name: signed_in[name] for name in told}
    assert _only(run("logout", "--revoke", "--json", environ=environ).out)["revoked"] is True


def test_the_picture_shows_the_address(environ: dict[str, str]) -> None:
    """The PNG in the event, decoded by two scanners, is the address; `--qr never` leaves it out."""
    from tests.support.scanning import pixels_of_png, read

    for options in ([], ["--device-auth"]):
        event = _only(run(*START, *options, "--json", environ=environ).out)
        address = event.get("url") or event["verification_uri"]
        assert read(pixels_of_png(base64.b64decode(event["qr_png_base64"]))) == [address]
        assert len(event["qr_png_base64"]) < 4000
    assert "qr_png_base64" not in _only(run(*START, "--json", "--qr", "never", environ=environ).out)


def test_a_code_in_two_calls(environ: dict[str, str]) -> None:
    """`device_code`, then `timed_out` with exit 5 while nobody has typed it, then `signed_in`."""
    started = _only(run(*START, "--device-auth", "--json", environ=environ).out)
    assert started["event"] == "device_code"
    assert started["finish"][1:3] == ["login", "finish"]
    waiting = run(*FINISH, "--no-wait", "--json", environ=environ)
    assert (waiting.exit_code, _only(waiting.out)["error"]) == (5, "timed_out")
    approve_device(started["verification_uri"], started["user_code"])
    assert _only(run(*FINISH, "--no-wait", "--json", environ=environ).out)["event"] == "signed_in"


def test_a_login_by_the_browser(codex_home: Path) -> None:
    """The loopback way tells the same two events."""
    port = free_port()
    with PracticeIssuer(redirect_ports=(port,)) as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Piped("login", "--port", str(port), "--json", environ=environ) as piped:
            follow(approve(piped.read_url()))
            outcome = piped.finish()
    assert [event["event"] for event in events_in(outcome.out)] == ["authorize", "signed_in"]


def test_a_rejected_answer_on_a_terminal(environ: dict[str, str]) -> None:
    """`rejected` for each, as another one is awaited; standard output is the terminal here."""
    with Terminal("login", "--paste-redirect", "--json", environ=environ, columns=2000) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.paste("hello\r", marked=False)
        terminal.read_until('(?s)"event": "rejected".*' + PROMPT)
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        shown = [line for line in terminal.lines if line.startswith("{")]
    names = [event["event"] for event in events_in("\n".join(shown))]
    assert names == ["authorize", "rejected", "signed_in"]


def test_api_key_logout_and_demo(environ: dict[str, str], codex_home: Path) -> None:
    """Every other command, too; a key is never shown."""
    stored = run("login", "--with-api-key", "--json", environ=environ, stdin=API_KEY)
    assert _only(stored.out)["event"] == "signed_in"
    assert API_KEY not in stored.out + stored.err
    first = _only(run("logout", "--json", environ=environ).out)
    assert (first["event"], first["removed"], first["revoked"]) == ("signed_out", True, None)
    assert _only(run("logout", "--json", environ=environ).out)["removed"] is False
    demo = events_in(run("demo", "--json", environ=environ).out)
    assert [event["event"] for event in demo] == ["authorize", "signed_in"]
    assert str(codex_home) not in demo[1]["auth_file"]


# The command, its standard input, the word of the contract, the exit code.
ERRORS = [
    ("login --nonsense --json", None, "usage", 2),
    ("--json nonsense", None, "usage", 2),
    ("login start --json --port x", None, "usage", 2),
    ("login --device-auth --with-api-key --json", None, "usage", 2),
    ("login --paste-redirect --json", None, "usage", 2),  # no input
    (f"login --api-key {API_KEY} --json", None, "usage", 2),
    ("login --with-api-key --json", "x y", "usage", 2),
    ("login --json finish", None, "no_pending_login", 3),
    ("login finish --json", None, "no_pending_login", 3),
    ("login start --json --codex-home FILE/x", None, "store_failed", 6),
    ("login start --device-auth --json --issuer http://127.0.0.1:9", None, "issuer_unreachable", 4),
]


@pytest.mark.parametrize(("command", "stdin", "word", "exit_code"), ERRORS)
def test_every_error_is_an_event(
    command: str, stdin: str | None, word: str, exit_code: int, environ: dict[str, str]
) -> None:
    """Also those that the parser finds; exit code, word and sentence agree with the screen."""
    words = [word.replace("FILE", __file__) for word in command.split()]
    outcome = run(*words, environ=environ, stdin=stdin)
    *before, event = events_in(outcome.out)
    assert [each["event"] for each in before] in ([], ["authorize"])
    assert (event["event"], event["error"], event["exit_code"]) == ("error", word, exit_code)
    assert outcome.exit_code == exit_code
    assert f"Error: {event['message']}" in outcome.err
    assert API_KEY not in outcome.out + outcome.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int, environ: dict[str, str]) -> None:
    with Piped("login", "--paste-redirect", "--json", environ=environ) as piped:
        piped.read_url()
        piped.interrupt(number)
        outcome = piped.finish()
    last = events_in(outcome.out)[-1]
    assert (last["error"], last["exit_code"], outcome.exit_code) == ("interrupted", code, code)
