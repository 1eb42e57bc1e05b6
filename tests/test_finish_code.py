"""A one-time code in two calls: asked once or waited for, kept, used up, and chosen among many."""

from __future__ import annotations

import os
import signal

import pytest

from headless_login.practice.issuer import Answer
from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import json_answer, nested, text_answer
from tests.support.machine import SIGKILL, posix_signals
from tests.support.program import assert_ended, at_once, event_in
from tests.support.two_calls import FINISH, LOST, SIGNED_IN, START, TwoCalls


def test_it_is_waited_for(calls: TwoCalls) -> None:
    """`finish` without words asks again and again until the person has approved."""
    _, page, _, code, *_ = calls.run(*START, "--device-auth").out.splitlines()
    with calls.piped(*FINISH) as piped:
        piped.read_until(f"Waiting for the code {code} at {page}")
        approve_device(page, code)
        assert_ended(piped.finish(), 0)
    assert calls.auth_file.exists()
    assert not calls.records


def test_it_is_asked_about_once(calls: TwoCalls) -> None:
    """Exit 5 while nobody has typed it, as often as one asks; the code is named once more."""
    page, code = calls.begin_code()
    for asked in (1, 2):
        named = f"The code {code} has not been typed yet"
        assert_ended(calls.ask(), 5, named, "login finish --no-wait")
        assert calls.polls == asked
    approve_device(page, code)
    assert calls.ask().exit_code == 0


def test_a_denied_code_is_used_up(calls: TwoCalls) -> None:
    """`access_denied`; the next call says that it is over, without reading an open pipe."""
    approve_device(*calls.begin_code(), decision="deny")
    assert_ended(calls.ask(), 3, "denied")
    with calls.piped(*FINISH, "--no-wait", "--json") as piped:
        assert piped.process.wait(20) == 3
        outcome = assert_ended(piped.finish(), 3, "used up")
    assert event_in(outcome) == LOST
    assert not calls.auth_file.exists()


def test_ten_at_once_for_the_same_code(calls: TwoCalls) -> None:
    approve_device(*calls.begin_code())
    outcomes = at_once(10, lambda: calls.ask("--json"))
    assert sorted(map(event_in, outcomes)) == [SIGNED_IN, *[LOST] * 9]
    assert calls.exchanges == 1


def test_an_approval_survives_an_exchange_without_an_answer(calls: TwoCalls) -> None:
    """The issuer gives the code once: it is kept, and exchanged without another poll."""
    calls.issuer.tokens = text_answer(503, "busy")
    approve_device(*calls.begin_code())
    assert_ended(calls.ask(), 4, "stays pending")
    calls.issuer.tokens = None
    assert calls.ask().exit_code == 0
    assert (calls.polls, calls.exchanges) == (1, 2)


# What the issuer answers to a poll; the exit code, and whether the sign-in stays pending.
ANSWERS: dict[str, tuple[Answer, int, bool]] = {
    "busy": (text_answer(503, "busy"), 4, True),
    "too many": (json_answer(429, {}), 4, True),
    "dropped": (Answer(-1), 4, True),
    "expired": (nested(403, "", "Device authorization code has expired"), 5, False),
    "half an answer": (json_answer(200, {"authorization_code": "ac_x"}), 4, False),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_may_pass_leaves_it_pending(case: str, calls: TwoCalls) -> None:
    """And what cannot be asked for twice does not."""
    calls.begin_code()
    calls.issuer.polls, exit_code, stays = ANSWERS[case]
    assert_ended(calls.ask(), exit_code)
    assert len(calls.records) == 1 + stays  # the address of the same sign-in is not the code's
    if case == "expired":
        assert "expired" in calls.ask().err


def test_one_of_several_is_named(calls: TwoCalls) -> None:
    """By its code, in small letters too; without a name the newest is meant."""
    first, second = calls.begin_code(), calls.begin_code()
    approve_device(*first)
    assert second[1] in calls.ask().err
    assert calls.ask(first[1].lower()).exit_code == 0
    approve_device(*second)
    assert calls.ask().exit_code == 0


def test_the_newest_decides_what_finish_does(calls: TwoCalls) -> None:
    """A code, or an address from standard input; `-` always means the latter."""
    page, code = calls.begin_code()
    url = calls.begin()
    assert calls.run(*FINISH, stdin=approve(url)).exit_code == 0
    other, third = calls.begin(), calls.begin()
    calls.begin_code()
    assert calls.finish(approve(other)).exit_code == 0
    there, into = os.pipe()  # what is there already, goes first
    os.write(into, approve(third).encode())
    os.close(into)
    with calls.piped(*FINISH, stdin=there) as piped:
        os.close(there)
        assert piped.finish().exit_code == 0
    approve_device(page, code)
    assert calls.ask(code).exit_code == 0


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=posix_signals), signal.SIGTERM, SIGKILL]
)
def test_an_end_while_waiting_loses_nothing(number: signal.Signals, calls: TwoCalls) -> None:
    """Agents cut long calls off: the next one goes on, at once."""
    page, code = calls.begin_code()
    with calls.piped(*FINISH) as piped:
        piped.read_until("Waiting for the code")
        assert "Another call is finishing" in calls.ask().err
        piped.process.send_signal(number)
        piped.process.wait(10)
    approve_device(page, code)
    assert calls.ask().exit_code == 0


def test_a_logout_ends_a_wait_in_the_background(calls: TwoCalls) -> None:
    """What `logout` says is forgotten signs nobody in, though a `finish` waits for it."""
    code = calls.begin_code()
    with calls.piped(*FINISH, "--json") as piped:
        piped.read_until("Waiting for the code")
        assert "forgotten" in calls.run("logout").err
        approve_device(*code)
        assert event_in(piped.finish()) == LOST
    assert not calls.auth_file.exists()


def test_slow_down_is_remembered(calls: TwoCalls) -> None:
    """RFC 8628 §3.5: five seconds more for good, across calls."""
    calls.begin_code()
    calls.issuer.polls = json_answer(400, {"error": "slow_down"})
    for seconds in (6, 11):
        assert_ended(calls.ask(), 5, "still pending", f"in {seconds} seconds or later")


def test_a_wait_ends_with_the_code(calls: TwoCalls) -> None:
    """`start --timeout` bounds the sign-in, and the wait for it with it."""
    calls.begin_code("--timeout", "2")
    assert "expired" in calls.run(*FINISH).err
    assert_ended(calls.ask(), 3, "expired")


def test_where_no_codes_are_offered(calls: TwoCalls) -> None:
    calls.issuer.codes = Answer(404)
    assert_ended(calls.run(*START, "--device-auth"), 3, "Or: headless-login login start")
    assert not calls.records
