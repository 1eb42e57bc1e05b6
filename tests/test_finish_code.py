"""A one-time code in two calls: asked once or waited for, kept, used up, and chosen among many."""

from __future__ import annotations

import io
import signal
import time
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
from headless_login.practice.wire import Parameters, json_answer, text_answer
from headless_login.terminal.output import Console, Output
from tests.support.program import Outcome, Piped, environment, run
from tests.support.two_calls import FINISH, START, begin, events_in, exchanges, finish, records


def _begin(environ: dict[str, str]) -> tuple[str, str]:
    """Begin a sign-in by device code and return page and code."""
    (event,) = events_in(run(*START, "--device-auth", "--json", environ=environ).out)
    return event["verification_uri"], event["user_code"]


def _ask(environ: dict[str, str], *words: str) -> Outcome:
    return run(*FINISH, *words, "--no-wait", environ=environ)


def _polls(issuer: PracticeIssuer) -> int:
    return sum(request.path.endswith("/deviceauth/token") for request in issuer.requests)


def test_it_is_waited_for(environ: dict[str, str], codex_home: Path) -> None:
    """`finish` without words asks again and again until the person has approved."""
    started = run(*START, "--device-auth", environ=environ)
    lines = started.out.splitlines()
    page, code = lines[1], lines[3]
    with Piped(*FINISH, environ=environ) as piped:
        piped.read_until(f"Waiting for the code {code} at {page}")
        approve_device(page, code)
        outcome = piped.finish()
    assert outcome.exit_code == 0, outcome.err
    assert (codex_home / "auth.json").exists()
    assert not records(codex_home)


def test_it_is_asked_about_once(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Exit 5 while nobody has typed it, as often as one asks; the code is named once more."""
    page, code = _begin(environ)
    for asked in (1, 2):
        outcome = _ask(environ)
        assert outcome.exit_code == 5
        assert f"The code {code} has not been typed yet" in outcome.err
        assert "login finish --no-wait" in outcome.err
        assert _polls(issuer) == asked
    approve_device(page, code)
    assert _ask(environ).exit_code == 0


def test_a_denied_code_is_used_up(environ: dict[str, str], codex_home: Path) -> None:
    """`access_denied`, and the next call says that it is over."""
    approve_device(*_begin(environ), decision="deny")
    outcome = _ask(environ)
    assert outcome.exit_code == 3
    assert "denied" in outcome.err
    assert "used up" in _ask(environ).err
    assert not (codex_home / "auth.json").exists()


class TroubledIssuer(PracticeIssuer):
    """Has trouble with tokens or with polls, until it has none."""

    tokens: Answer | None = None
    polls: Answer | None = None

    def token_answer(self, form: Parameters) -> Answer:
        """Answer as told, or well."""
        return self.tokens or super().token_answer(form)

    def device_token_answer(self, form: Parameters) -> Answer:
        """Answer as told, or well."""
        return self.polls or super().device_token_answer(form)


def test_an_approval_survives_an_exchange_without_an_answer(codex_home: Path) -> None:
    """The issuer gives the code once: it is kept, and exchanged without another poll."""
    with TroubledIssuer() as issuer:
        environ = environment(codex_home, issuer.issuer)
        approve_device(*_begin(environ))
        issuer.tokens = text_answer(503, "busy")
        outcome = _ask(environ)
        assert outcome.exit_code == 4
        assert "stays pending" in outcome.err
        issuer.tokens = None
        assert _ask(environ).exit_code == 0
        assert _polls(issuer) == 1
        assert exchanges(issuer) == 2


@pytest.mark.parametrize(
    ("answer", "exit_code", "stays"),
    [
        (text_answer(503, "busy"), 4, True),
        (json_answer(429, {}), 4, True),
        (Answer(-1), 4, True),
        (
            json_answer(403, {"error": {"message": "Device authorization code has expired"}}),
            5,
            False,
        ),
        (json_answer(200, {"authorization_code": "ac_x"}), 4, False),
    ],
    ids=["busy", "too many", "dropped", "expired", "half an answer"],
)
def test_what_may_pass_leaves_it_pending(
    answer: Answer, exit_code: int, stays: bool, codex_home: Path
) -> None:
    """And what cannot be asked for twice does not."""
    with TroubledIssuer() as issuer:
        environ = environment(codex_home, issuer.issuer)
        _begin(environ)
        issuer.polls = answer
        outcome = _ask(environ)
        assert outcome.exit_code == exit_code, outcome.err
        assert bool(records(codex_home)) is stays
        if exit_code == 5:
            assert "expired" in _ask(environ).err


def test_one_of_several_is_named(environ: dict[str, str]) -> None:
    """By its code, in small letters too; without a name the newest is meant."""
    first, second = _begin(environ), _begin(environ)
    approve_device(*first)
    assert second[1] in _ask(environ).err
    assert _ask(environ, first[1].lower()).exit_code == 0
    approve_device(*second)
    assert _ask(environ).exit_code == 0


def test_the_newest_decides_what_finish_does(environ: dict[str, str]) -> None:
    """A code, or an address from standard input; `-` always means the latter."""
    page, code = _begin(environ)
    url = begin(environ)
    assert run(*FINISH, environ=environ, stdin=approve(url)).exit_code == 0
    other, third = begin(environ), begin(environ)
    _begin(environ)
    assert finish(environ, approve(other)).exit_code == 0
    with Piped(*FINISH, environ=environ) as piped:  # what is there already, goes first
        piped.process.send_signal(signal.SIGSTOP)
        piped.send(approve(third))
        piped.process.send_signal(signal.SIGCONT)
        assert piped.finish().exit_code == 0
    approve_device(page, code)
    assert _ask(environ, code).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_while_waiting_loses_nothing(
    number: signal.Signals, environ: dict[str, str]
) -> None:
    """Agents cut long calls off: the next one goes on, at once."""
    page, code = _begin(environ)
    with Piped(*FINISH, environ=environ) as piped:
        piped.read_until("Waiting for the code")
        assert "Another call is finishing" in _ask(environ).err
        piped.process.send_signal(number)
        piped.process.wait(10)
    approve_device(page, code)
    assert _ask(environ).exit_code == 0


def test_slow_down_is_remembered(codex_home: Path) -> None:
    """RFC 8628 §3.5: five seconds more for good, across calls."""
    home = CodexHome(str(codex_home))
    slow = json_answer(400, {"error": "slow_down"})
    with TroubledIssuer() as issuer:
        issuer.polls = slow
        provider = Provider(issuer.issuer)
        code = DeviceCode(f"{issuer.issuer}/codex/device", "ABCD-EFGH", 5.0, 900.0, "secret")
        PendingAttempts.keep(home, Attempt(provider, code, time.time() + 900))
        context = Context(Output(Console(io.StringIO())), {})
        for seconds in (10, 15):
            with pytest.raises(TimedOut, match="still pending") as caught:
                finish_here(None, home, context, wait=False)
            assert f"not before {seconds} seconds" in caught.value.hint


def test_a_wait_ends_with_the_code(environ: dict[str, str], codex_home: Path) -> None:
    """`start --timeout` bounds the sign-in, and the wait for it with it."""
    started = run(*START, "--device-auth", "--timeout", "2", environ=environ)
    assert started.exit_code == 0
    began = time.monotonic()
    outcome = run(*FINISH, environ=environ)
    assert time.monotonic() - began < 10
    assert "expired" in outcome.err
    assert not records(codex_home)


def test_where_no_codes_are_offered(codex_home: Path) -> None:
    """`start --device-auth` names the other way, and leaves nothing behind."""

    class Without(PracticeIssuer):
        def user_code_answer(self, form: Parameters) -> Answer:  # noqa: ARG002
            return Answer(404)

    with Without() as issuer:
        outcome = run(*START, "--device-auth", environ=environment(codex_home, issuer.issuer))
    assert outcome.exit_code == 3
    assert "Or: headless-login login start" in outcome.err
    assert not records(codex_home)
