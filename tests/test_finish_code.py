"""A one-time code in two calls: asked once or waited for, kept, used up, and chosen among many."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.context import Context
from headless_login.commands.finish import finish as finish_here
from headless_login.errors import TimedOut
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import Provider
from headless_login.oauth.values import DeviceCode
from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import json_answer, nested, text_answer
from headless_login.terminal.output import Console, Output
from tests.support.misbehaving import AnsweringIssuer, QuickIssuer
from tests.support.program import Piped, environment, run
from tests.support.two_calls import (
    FINISH,
    LOST,
    SIGNED_IN,
    START,
    ask,
    at_once,
    begin,
    begin_code,
    event_in,
    exchanges,
    finish,
    records,
)


@pytest.fixture
def issuer() -> Iterator[PracticeIssuer]:
    """An issuer that can be asked often."""
    with QuickIssuer() as running:
        yield running


def _polls(issuer: PracticeIssuer) -> int:
    return sum(request.path.endswith("/deviceauth/token") for request in issuer.requests)


def test_it_is_waited_for(environ: dict[str, str], codex_home: Path) -> None:
    """`finish` without words asks again and again until the person has approved."""
    _, page, _, code, *_ = run(*START, "--device-auth", environ=environ).out.splitlines()
    with Piped(*FINISH, environ=environ) as piped:
        piped.read_until(f"Waiting for the code {code} at {page}")
        approve_device(page, code)
        outcome = piped.finish()
    assert outcome.exit_code == 0, outcome.err
    assert (codex_home / "auth.json").exists()
    assert not records(codex_home)


def test_it_is_asked_about_once(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Exit 5 while nobody has typed it, as often as one asks; the code is named once more."""
    page, code = begin_code(environ)
    for asked in (1, 2):
        outcome = ask(environ)
        assert outcome.exit_code == 5
        assert f"The code {code} has not been typed yet" in outcome.err
        assert "login finish --no-wait" in outcome.err
        assert _polls(issuer) == asked
    approve_device(page, code)
    assert ask(environ).exit_code == 0


def test_a_denied_code_is_used_up(environ: dict[str, str], codex_home: Path) -> None:
    """`access_denied`; the next call says that it is over, without reading an open pipe."""
    approve_device(*begin_code(environ), decision="deny")
    outcome = ask(environ)
    assert outcome.exit_code == 3
    assert "denied" in outcome.err
    with Piped(*FINISH, "--no-wait", "--json", environ=environ) as piped:
        assert piped.process.wait(20) == 3
        outcome = piped.finish()
    assert event_in(outcome) == LOST
    assert "used up" in outcome.err
    assert not (codex_home / "auth.json").exists()


def test_ten_at_once_for_the_same_code(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """A one-time code that is approved is fetched once and exchanged once."""
    approve_device(*begin_code(environ))
    outcomes = at_once(10, lambda: ask(environ, "--json"))
    assert sorted(map(event_in, outcomes)) == [SIGNED_IN, *[LOST] * 9]
    assert exchanges(issuer) == 1


def test_an_approval_survives_an_exchange_without_an_answer(codex_home: Path) -> None:
    """The issuer gives the code once: it is kept, and exchanged without another poll."""
    with AnsweringIssuer(text_answer(503, "busy")) as issuer:
        environ = environment(codex_home, issuer.issuer)
        approve_device(*begin_code(environ))
        outcome = ask(environ)
        assert outcome.exit_code == 4
        assert "stays pending" in outcome.err
        issuer.tokens = None
        assert ask(environ).exit_code == 0
        assert _polls(issuer) == 1
        assert exchanges(issuer) == 2


# What the issuer answers to a poll; the exit code, and whether the sign-in stays pending.
ANSWERS: dict[str, tuple[Answer, int, bool]] = {
    "busy": (text_answer(503, "busy"), 4, True),
    "too many": (json_answer(429, {}), 4, True),
    "dropped": (Answer(-1), 4, True),
    "expired": (nested(403, "", "Device authorization code has expired"), 5, False),
    "half an answer": (json_answer(200, {"authorization_code": "ac_x"}), 4, False),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_may_pass_leaves_it_pending(case: str, codex_home: Path) -> None:
    """And what cannot be asked for twice does not."""
    answer, exit_code, stays = ANSWERS[case]
    with AnsweringIssuer(polls=answer) as issuer:
        environ = environment(codex_home, issuer.issuer)
        begin_code(environ)
        outcome = ask(environ)
        assert outcome.exit_code == exit_code, outcome.err
        assert bool(records(codex_home)) is stays
        if case == "expired":
            assert "expired" in ask(environ).err


def test_one_of_several_is_named(environ: dict[str, str]) -> None:
    """By its code, in small letters too; without a name the newest is meant."""
    first, second = begin_code(environ), begin_code(environ)
    approve_device(*first)
    assert second[1] in ask(environ).err
    assert ask(environ, first[1].lower()).exit_code == 0
    approve_device(*second)
    assert ask(environ).exit_code == 0


def test_the_newest_decides_what_finish_does(environ: dict[str, str]) -> None:
    """A code, or an address from standard input; `-` always means the latter."""
    page, code = begin_code(environ)
    url = begin(environ)
    assert run(*FINISH, environ=environ, stdin=approve(url)).exit_code == 0
    other, third = begin(environ), begin(environ)
    begin_code(environ)
    assert finish(environ, approve(other)).exit_code == 0
    with Piped(*FINISH, environ=environ) as piped:  # what is there already, goes first
        piped.process.send_signal(signal.SIGSTOP)
        piped.send(approve(third))
        piped.process.send_signal(signal.SIGCONT)
        assert piped.finish().exit_code == 0
    approve_device(page, code)
    assert ask(environ, code).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_while_waiting_loses_nothing(
    number: signal.Signals, environ: dict[str, str]
) -> None:
    """Agents cut long calls off: the next one goes on, at once."""
    page, code = begin_code(environ)
    with Piped(*FINISH, environ=environ) as piped:
        piped.read_until("Waiting for the code")
        assert "Another call is finishing" in ask(environ).err
        piped.process.send_signal(number)
        piped.process.wait(10)
    approve_device(page, code)
    assert ask(environ).exit_code == 0


def test_a_logout_ends_a_wait_in_the_background(environ: dict[str, str], codex_home: Path) -> None:
    """What `logout` says is forgotten signs nobody in, though a `finish` waits for it."""
    code = begin_code(environ)
    with Piped(*FINISH, "--json", environ=environ) as piped:
        piped.read_until("Waiting for the code")
        assert "forgotten" in run("logout", environ=environ).err
        approve_device(*code)
        assert event_in(piped.finish()) == LOST
    assert not (codex_home / "auth.json").exists()


def test_slow_down_is_remembered(codex_home: Path) -> None:
    """RFC 8628 §3.5: five seconds more for good, across calls."""
    home = CodexHome(str(codex_home))
    with AnsweringIssuer(polls=json_answer(400, {"error": "slow_down"})) as issuer:
        code = DeviceCode(f"{issuer.issuer}/codex/device", "ABCD-EFGH", 5.0, 900.0, "secret")
        attempt = Attempt(Provider(issuer.issuer), code, time.time() + 900)
        PendingAttempts.keep(home, attempt)
        context = Context(Output(Console(io.StringIO())), {})
        for seconds in (10, 15):
            with pytest.raises(TimedOut, match="still pending") as caught:
                finish_here(None, home, context, wait=False)
            assert f"not before {seconds} seconds" in caught.value.hint


def test_a_wait_ends_with_the_code(environ: dict[str, str], codex_home: Path) -> None:
    """`start --timeout` bounds the sign-in, and the wait for it with it."""
    begin_code(environ, "--timeout", "2")
    assert "expired" in run(*FINISH, environ=environ).err
    assert not records(codex_home)


def test_where_no_codes_are_offered(codex_home: Path) -> None:
    """`start --device-auth` names the other way, and leaves nothing behind."""
    with AnsweringIssuer(codes=Answer(404)) as issuer:
        outcome = run(*START, "--device-auth", environ=environment(codex_home, issuer.issuer))
    assert outcome.exit_code == 3
    assert "Or: headless-login login start" in outcome.err
    assert not records(codex_home)
