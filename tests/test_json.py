"""`--json`: one object a line on standard output, each as the schema says, and nothing else."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from tests.support.browsing import follow
from tests.support.listening import free_port
from tests.support.misbehaving import expired
from tests.support.program import PROMPT, Outcome, Piped, Terminal, environment, run
from tests.support.scanning import pixels_of_png, read
from tests.support.two_calls import FINISH, START, answered, begin, events_in, finish, validator

API_KEY = "sk-practice-key-0123456789"


def _only(outcome: Outcome) -> dict[str, Any]:
    (event,) = events_in(outcome.out)
    return event


def test_start_and_finish(environ: dict[str, str], codex_home: Path) -> None:
    """`authorize` carries all that a chat needs, `signed_in` all that a program wants to know."""
    started = _only(run(*START, "--json", environ=environ))
    assert started["event"] == "authorize"
    assert started["redirect_uri"] == "http://127.0.0.1:1455/auth/callback"
    left = datetime.fromisoformat(started["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    outcome = finish(environ, approve(started["url"]), "--json")
    signed_in = _only(outcome)
    assert signed_in["event"] == "signed_in"
    assert signed_in["auth_file"] == str(codex_home / "auth.json")
    assert (signed_in["target"], signed_in["email"]) == (None, "ada@example.com")
    status = json.loads(run("login", "status", "--json", environ=environ).out)
    validator("status").validate(status)
    told = ("account_id", "plan", "access_token_expires_at", "auth_file")
    assert {name: status[name] for name in told} == {name: signed_in[name] for name in told}


def test_the_command_that_start_names_finishes(environ: dict[str, str]) -> None:
    """Its words need no shell; the answer goes to standard input."""
    started = _only(run(*START, "--json", environ=environ))
    words = started["finish"]
    assert words[1:4] == ["login", "finish", "-"]
    assert run(*words[1:], environ=environ, stdin=approve(started["url"])).exit_code == 0


def test_the_picture_shows_the_address(environ: dict[str, str]) -> None:
    """The PNG in the event, decoded by two scanners, is the address; `--qr never` leaves it out."""
    for options in ([], ["--device-auth"]):
        event = _only(run(*START, *options, "--json", environ=environ))
        address = event.get("url") or event["verification_uri"]
        assert read(pixels_of_png(base64.b64decode(event["qr_png_base64"]))) == [address]
        assert len(event["qr_png_base64"]) < 4000
    assert "qr_png_base64" not in _only(run(*START, "--json", "--qr", "never", environ=environ))


def test_a_code_in_two_calls(environ: dict[str, str]) -> None:
    """`device_code`, then `timed_out` with exit 5 while nobody has typed it, then `signed_in`."""
    started = _only(run(*START, "--device-auth", "--json", environ=environ))
    assert started["event"] == "device_code"
    assert started["finish"][1:3] == ["login", "finish"]
    waiting = run(*FINISH, "--no-wait", "--json", environ=environ)
    assert (waiting.exit_code, _only(waiting)["error"]) == (5, "timed_out")
    approve_device(started["verification_uri"], started["user_code"])
    assert _only(run(*FINISH, "--no-wait", "--json", environ=environ))["event"] == "signed_in"


def test_a_login_through_a_pipe(environ: dict[str, str]) -> None:
    """`authorize` at once, then `signed_in`."""
    with Piped("login", "--paste-redirect", "--json", environ=environ) as piped:
        url = piped.read_url()
        outcome = piped.finish(approve(url))
    first, second = events_in(outcome.out)
    assert (first["event"], first["url"], second["event"]) == ("authorize", url, "signed_in")


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
    assert _only(stored)["event"] == "signed_in"
    assert API_KEY not in stored.out + stored.err
    first = _only(run("logout", "--json", environ=environ))
    assert (first["event"], first["removed"], first["revoked"]) == ("signed_out", True, None)
    assert _only(run("logout", "--json", environ=environ))["removed"] is False
    demo = events_in(run("demo", "--json", environ=environ).out)
    assert [event["event"] for event in demo] == ["authorize", "signed_in"]
    assert str(codex_home) not in demo[1]["auth_file"]


def test_logout_tells_whether_the_token_is_revoked(environ: dict[str, str]) -> None:
    """`revoked` is true only if the issuer said so."""
    finish(environ, answered(environ))
    assert _only(run("logout", "--revoke", "--json", environ=environ))["revoked"] is True


Case = Callable[[dict[str, str]], Outcome]
ERRORS: dict[str, tuple[Case, str, int]] = {
    "unknown option": (lambda e: run("login", "--nonsense", "--json", environ=e), "usage", 2),
    "unknown command": (lambda e: run("--json", "nonsense", environ=e), "usage", 2),
    "bad value": (lambda e: run(*START, "--json", "--port", "x", environ=e), "usage", 2),
    "two ways": (
        lambda e: run("login", "--device-auth", "--with-api-key", "--json", environ=e),
        "usage",
        2,
    ),
    "json before": (lambda e: run("login", "--json", "finish", environ=e), "no_pending_login", 3),
    "no input": (lambda e: run("login", "--paste-redirect", "--json", environ=e), "usage", 2),
    "nothing pending": (lambda e: run(*FINISH, "--json", environ=e), "no_pending_login", 3),
    "legacy key": (lambda e: run("login", "--api-key", API_KEY, "--json", environ=e), "usage", 2),
    "bad key": (
        lambda e: run("login", "--with-api-key", "--json", environ=e, stdin="x y"),
        "usage",
        2,
    ),
    "home is a file": (
        lambda e: run(*START, "--json", "--codex-home", "/dev/null/x", environ=e),
        "store_failed",
        6,
    ),
    "unreachable": (
        lambda e: run(
            *START, "--device-auth", "--json", "--issuer", "http://127.0.0.1:9", environ=e
        ),
        "issuer_unreachable",
        4,
    ),
    "denied": (
        lambda e: finish(e, approve(begin(e), decision="deny"), "--json"),
        "access_denied",
        3,
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_every_error_is_an_event(case: str, environ: dict[str, str]) -> None:
    """Also those that the parser finds; exit code, word and sentence agree with the screen."""
    act, word, exit_code = ERRORS[case]
    outcome = act(environ)
    *before, event = events_in(outcome.out)
    assert [each["event"] for each in before] in ([], ["authorize"])
    assert (event["event"], event["error"], event["exit_code"]) == ("error", word, exit_code)
    assert outcome.exit_code == exit_code
    assert f"Error: {event['message']}" in outcome.err
    assert API_KEY not in outcome.out + outcome.err


def test_forged_tokens(codex_home: Path) -> None:
    """What is wrong with an ID token reaches the program as a word."""
    with expired() as issuer:
        environ = environment(codex_home, issuer.issuer)
        outcome = finish(environ, answered(environ), "--json")
    assert (_only(outcome)["error"], outcome.exit_code) == ("id_token_invalid", 3)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int, environ: dict[str, str]) -> None:
    """An interrupted command says that it was, as its last line."""
    with Piped("login", "--paste-redirect", "--json", environ=environ) as piped:
        piped.read_url()
        piped.process.send_signal(number)
        outcome = piped.finish()
    last = events_in(outcome.out)[-1]
    assert (last["error"], last["exit_code"], outcome.exit_code) == ("interrupted", code, code)


def test_the_conversation_is_silent_in_start(environ: dict[str, str]) -> None:
    """An agent that merges both streams still reads one line of JSON."""
    outcome = run(*START, "--json", environ=environ)
    assert outcome.err == ""
