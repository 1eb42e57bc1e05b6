"""`--expect`: nobody else's tokens are stored, by whatever way they came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headless_login.codex.pending.record import Damaged, Moment, Origin, read_record, write_record
from headless_login.errors import SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.identity import Identity
from headless_login.oauth.provider import CODEX
from headless_login.practice.person import approve, approve_device
from headless_login.signin import begin, rebuild
from tests.support.people import ADA, GRACE, Machine
from tests.support.program import Piped, assert_ended, event_in
from tests.support.stored_files import KEY, OLD
from tests.support.two_calls import FINISH, START, resealed

WRONG = f"This is the sign-in of ada@example.com (account {ADA.account_id}), not of "


def _unchanged(machine: Machine, outcome: tuple[int, str]) -> None:
    assert outcome == (3, "unexpected_account")
    assert machine.auth_file.read_bytes() == OLD
    assert machine.kept == []


@pytest.mark.parametrize("who", ["ADA@example.com", ADA.account_id, ADA.user_id])
def test_the_expected_one_signs_in(who: str, machine: Machine) -> None:
    assert_ended(machine.sign_in(ADA, "--expect", who), 0)
    assert machine.present[0] == ADA.user_id


@pytest.mark.parametrize("who", ["grace@example.com", GRACE.account_id, "ada@", "ada"])
def test_anybody_else_is_refused(who: str, machine: Machine) -> None:
    """By paste; a beginning is not enough. The old sign-in stays as it was."""
    machine.auth_file.write_bytes(OLD)
    outcome = machine.sign_in(ADA, "--expect", who, "--json")
    assert_ended(outcome, 3, WRONG + who, "Nothing was written.", "choose the expected account")
    _unchanged(machine, event_in(outcome))


def test_by_two_calls(machine: Machine) -> None:
    """`start` has it kept; `finish` may say it as well, and both count."""
    machine.auth_file.write_bytes(OLD)
    for started, finished in (("grace@example.com", ""), ("", "lin@"), (ADA.user_id, "lin@")):
        options = ("--expect", started) if started else ()
        answer = approve(machine.run(*START, *options).out.splitlines()[0])
        options = ("--expect", finished) if finished else ()
        outcome = machine.run(*FINISH, "-", *options, "--json", stdin=answer)
        assert WRONG in outcome.err
        _unchanged(machine, event_in(outcome))
        again = machine.run(*FINISH, "-", stdin=answer)
        assert_ended(again, 3, "used up")
    answer = approve(machine.run(*START, "--expect", "ada@example.com").out.splitlines()[0])
    machine.ok(*FINISH, "-", "--expect", ADA.account_id, stdin=answer)


def test_by_a_code(machine: Machine) -> None:
    machine.auth_file.write_bytes(OLD)
    started = json.loads(
        machine.run(*START, "--device-auth", "--expect", "lin@example.com", "--json").out
    )
    approve_device(started["verification_uri"], started["user_code"])
    _unchanged(machine, event_in(machine.run(*FINISH, "--no-wait", "--json")))


def test_login_expects_of_another_attempts_answer_as_well(machine: Machine) -> None:
    """An answer to `login start`, pasted into `login --expect`, is held against that."""
    machine.auth_file.write_bytes(OLD)
    answer = approve(machine.run(*START).out.splitlines()[0])
    words = ("login", "--paste-redirect", "--expect", "lin@example.com", "--json")
    with Piped(*words, environ=machine.environ) as program:
        _unchanged(machine, event_in(program.finish(answer + "\n")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("login", "--with-api-key", "--expect", "x"), "a key does not say whose it is"),
        (("login", "--expect", ""), "--expect names nobody"),
        (("login", "--expect", " ", "--with-access-token"), "--expect names nobody"),
        (("login", "start", "--expect", ""), "--expect names nobody"),
        (("login", "finish", "--expect", "", "-"), "--expect names nobody"),
    ],
)
def test_what_cannot_be_expected(words: tuple[str, ...], said: str, machine: Machine) -> None:
    assert_ended(machine.run(*words, stdin=KEY), 2, said)
    assert not machine.auth_file.exists()


def test_what_names_nobody_is_nobody() -> None:
    """Without an account id or an address nobody is the expected one."""
    for expected in ("", "None", "ada@example.com"):
        with pytest.raises(SignInRefused, match="no account id"):
            Identity().check([expected])
    Identity().check([])


# What a kept attempt says of it.


def _record(attempt: Attempt) -> bytes:
    origin = Origin("/x", (1, 2), "host", Moment(0.0, 0.0, ""), 900.0)
    return write_record(attempt, origin)


def test_a_kept_attempt_expects_the_same() -> None:
    """In a record of its own format, which an older version refuses; and in a web session."""
    expecting = begin(CODEX, expect=["ada@example.com"])
    assert json.loads(_record(expecting))["format"] == 2
    assert read_record(_record(expecting))[0].expect == ("ada@example.com",)
    assert rebuild(json.loads(json.dumps(expecting.kept()))).expect == ("ada@example.com",)
    plain = begin(CODEX)
    assert json.loads(_record(plain)).keys() & {"format", "expect"} == {"format"}
    assert json.loads(_record(plain))["format"] == 1
    assert rebuild({name: value for name, value in plain.kept().items() if name != "expect"})
    wrongs: list[object] = ["ada@example.com", [1], {}, None]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="not an attempt"):
            rebuild(expecting.kept() | {"expect": wrong})


def test_a_record_of_a_later_format_is_named_and_left_alone(machine: Machine) -> None:
    answer = approve(machine.run(*START).out.splitlines()[0])
    (record,) = (machine.folder / ".headless-login").glob("*.json")
    later = resealed(json.loads(record.read_bytes()) | {"format": 7})
    record.write_bytes(later)
    said = "has the format 7, which this version does not know."
    assert_ended(machine.run(*FINISH, "-", stdin=answer), 3, said)
    assert record.read_bytes() == later
    unusuals: list[object] = ["7", None, [], {}, 1e999]
    for unusual in unusuals:
        with pytest.raises(Damaged):
            read_record(resealed(json.loads(later) | {"format": unusual}))


def test_a_record_with_another_expectation_is_damaged(machine: Machine) -> None:
    """Taking the expectation out is an edit like any other."""
    answer = approve(machine.run(*START, "--expect", "lin@example.com").out.splitlines()[0])
    (record,) = Path(machine.folder, ".headless-login").glob("*.json")
    document = json.loads(record.read_bytes())
    record.write_text(json.dumps(document | {"expect": []}))
    assert_ended(machine.run(*FINISH, "-", stdin=answer), 3, "is damaged or was changed")
