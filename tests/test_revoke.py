"""What is given back to the issuer: by `logout --revoke`, with `--all`, and by `--revoke-old`."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.commands.logout import logout
from headless_login.delivery.destination import CodexFolder
from headless_login.practice.issuer import Answer, Person, RecordedRequest
from headless_login.practice.person import approve
from headless_login.terminal.output import Console, Output
from tests.support.people import ADA, GRACE, LIN, Machine, People, places, signed_in_as
from tests.support.program import assert_ended, events_in, run
from tests.support.stored_files import KEY
from tests.support.two_calls import FINISH, START

REVOKED = "The refresh token is revoked"


def _tokens(machine: Machine) -> dict[str, str]:
    return {user: token for _, user, token in places(machine.home)}


def test_logout_leaves_what_is_kept(machine: Machine) -> None:
    """The present one goes, the others are named; none becomes present, none is revoked."""
    for person in (ADA, GRACE):
        machine.sign_in(person)
    outcome = machine.run("logout", "--json")
    said = "Still kept, and not signed in: ChatGPT as ada@example.com (plus plan) (headless-login"
    assert_ended(outcome, 0, "is gone", said, "headless-login logout --all")
    (event,) = events_in(outcome.out)
    assert (event["removed"], event["revoked"], event["kept"]) == (True, None, 1)
    assert machine.run("login", "status").exit_code == 1
    assert [each["present"] for each in machine.listed()] == [False]
    assert "Still kept" in machine.ok("logout"), "with nothing else to do as well"
    assert machine.issuer.revoked == []
    machine.ok("accounts", "use", "-")
    assert machine.present[0] == ADA.user_id


def test_revoke_asks_for_the_present_one_alone(machine: Machine) -> None:
    for person in (ADA, GRACE):
        machine.sign_in(person)
    tokens = _tokens(machine)
    assert REVOKED in machine.ok("logout", "--revoke")
    assert machine.issuer.revoked == [tokens[GRACE.user_id]]


def test_all_is_everything(machine: Machine) -> None:
    """Every account, in one call: revoked, forgotten, and told; keys have nothing to revoke."""
    machine.ok("login", "--with-api-key", stdin=KEY)
    for person in (ADA, GRACE):
        machine.sign_in(person)
    tokens = {token for token in _tokens(machine).values() if token}
    outcome = machine.run("logout", "--revoke", "--all", "--json")
    assert_ended(outcome, 0, f"ChatGPT as ada@example.com (plus plan): {REVOKED}")
    assert "deleted where it was made" in outcome.err
    assert "Forgotten, too: ChatGPT as ada@example.com (plus plan), the API key" in outcome.err
    (event,) = events_in(outcome.out)
    assert (event["removed"], event["revoked"], event["kept"]) == (True, True, 0)
    assert {*machine.issuer.revoked} == tokens
    assert len(tokens) == 2
    assert places(machine.home) == []


def test_all_without_a_present_one(machine: Machine) -> None:
    """What is kept is forgotten, and asked about nobody unless told to."""
    for person in (ADA, GRACE):
        machine.sign_in(person)
    machine.auth_file.unlink()
    outcome = machine.run("logout", "--all", "--json")
    assert_ended(outcome, 0, "Forgotten, too: ChatGPT as ada@example.com")
    assert events_in(outcome.out)[0]["removed"] is False
    assert places(machine.home) == []
    assert machine.issuer.revoked == []


def test_a_copy_that_a_killed_switch_left_goes_with_its_account(machine: Machine) -> None:
    """Who signs out of an account must not find it kept."""
    for person in (ADA, GRACE):
        machine.sign_in(person)
    (kept,) = machine.kept
    copy = json.loads(kept.read_text())
    copy["auth_json"] = machine.auth_file.read_text()
    kept.with_stem("copy").write_text(json.dumps(copy))
    kept.with_stem("copy").chmod(0o600)
    machine.ok("logout")
    assert [user for _, user, _ in places(machine.home)] == [ADA.user_id]


def test_an_issuer_that_hangs_costs_a_bounded_time(home: CodexHome) -> None:
    """All of them together; what could not be revoked is said, and goes all the same."""
    folder = CodexFolder(home, {})

    class Hanging(People):
        def answer(self, request: RecordedRequest) -> Answer:
            self.stopped.wait()
            return super().answer(request)

    with Hanging() as issuer:
        for person in (ADA, LIN, GRACE):
            content = json.loads(signed_in_as(person, f"rt_{person.user_id}").content)
            content["tokens"]["oauth_provenance"]["issuer"] = issuer.issuer
            folder.store(Credentials(json.dumps(content).encode()))
        said = StringIO()
        # A clock that goes on by a whole minute at a time: there is time for the first one only.
        ticks = iter(range(0, 6000, 60))
        context = Context(Output(Console(said)), {}, clock=lambda: float(next(ticks)))
        logout(home, context, revoke=True, every=True, revoke_timeout=0.2)
    assert said.getvalue().count("could not be revoked") == 3
    assert places(home) == []


# --revoke-old.


@pytest.mark.parametrize("person", [GRACE, ADA], ids=["another account", "the same"])
def test_the_replaced_one_is_revoked_and_not_kept(person: Person, machine: Machine) -> None:
    """After the new one is stored, and only the one that was present."""
    for each in (LIN, ADA):
        machine.sign_in(each)
    old = _tokens(machine)
    said = machine.sign_in(person, "--revoke-old").err
    assert "ChatGPT as ada@example.com (plus plan), which is revoked then." in said
    assert said.index("codex uses it from now on") < said.index("that was replaced: The refresh")
    assert machine.issuer.revoked == [old[ADA.user_id]]
    assert old[ADA.user_id] not in _tokens(machine).values()
    assert _tokens(machine)[LIN.user_id] == old[LIN.user_id]


def test_without_it_nothing_is_revoked(machine: Machine) -> None:
    for person in (ADA, ADA, GRACE):
        machine.sign_in(person)
    machine.ok("login", "--with-api-key", stdin=KEY)
    assert machine.issuer.revoked == []


def test_by_finish_and_by_a_key_as_well(machine: Machine) -> None:
    machine.sign_in(ADA)
    old = _tokens(machine)[ADA.user_id]
    machine.issuer.person = GRACE
    answer = approve(machine.run(*START).out.splitlines()[0])
    assert REVOKED in machine.ok(*FINISH, "-", "--revoke-old", stdin=answer)
    new = _tokens(machine)[GRACE.user_id]
    assert REVOKED in machine.ok("login", "--with-api-key", "--revoke-old", stdin=KEY)
    assert machine.issuer.revoked == [old, new]
    assert len(places(machine.home)) == 1
    assert_ended(machine.run(*START, "--revoke-old"), 2, "--revoke-old")


def test_a_refused_sign_in_revokes_nothing(machine: Machine) -> None:
    machine.sign_in(ADA)
    outcome = machine.sign_in(GRACE, "--revoke-old", "--expect", "ada@example.com")
    assert_ended(outcome, 3, "not of ada@example.com")
    assert machine.issuer.revoked == []
    assert machine.present[0] == ADA.user_id


def test_an_issuer_that_does_not_revoke_is_said(machine: Machine) -> None:
    """The new sign-in stands, exit code 0; the old one is gone all the same."""
    machine.sign_in(ADA)
    content = json.loads(machine.auth_file.read_text())
    content["tokens"]["oauth_provenance"]["issuer"] = "http://127.0.0.1:9"
    machine.auth_file.write_text(json.dumps(content))
    said = machine.sign_in(GRACE, "--revoke-old").err
    assert "that was replaced: The refresh token could not be revoked" in said
    assert [user for _, user, _ in places(machine.home)] == [GRACE.user_id]


def test_status_accounts_and_logout_ask_nobody(machine: Machine) -> None:
    """Whatever they do, without --revoke: the issuer hears nothing."""
    for person in (ADA, GRACE):
        machine.sign_in(person)
    heard = len(machine.issuer.requests)
    for words in (
        ("accounts",),
        ("accounts", "use", "-"),
        ("login", "status"),
        ("accounts", "remove", "grace"),
        ("logout", "--all"),
    ):
        machine.ok(*words)
    assert len(machine.issuer.requests) == heard
    assert run("accounts", environ=machine.environ).out.startswith("No sign-in is present or kept")
