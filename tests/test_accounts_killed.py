"""Accounts through kills and at random: one is present, none is lost, none lies in two places."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.codex.accounts import list_accounts
from headless_login.codex.auth_file import AuthFile
from headless_login.codex.home import CodexHome
from headless_login.commands.accounts import remove, use
from headless_login.commands.context import Context
from headless_login.commands.logout import logout
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import HeadlessLoginError
from headless_login.practice.issuer import Person
from headless_login.practice.wire import Answer, RecordedRequest
from headless_login.terminal.output import Console, Output
from tests.support.codex import refreshed_by_codex
from tests.support.people import (
    ADA,
    GRACE,
    LIN,
    PEOPLE,
    Machine,
    People,
    places,
    signed_in_as,
    token_in,
)
from tests.support.program import assert_ended
from tests.support.renewing import is_ours, race_size

MOST = 200  # steps; far more than there are
COUNTED = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "fcntl.flock"}
KILLED = 9


def _in_child(work: Callable[[], object], step: int | None = None) -> int:
    """Do work in a process that is gone at its file operation of that number; its exit code."""
    child = os.fork()
    if child == 0:
        left = sys.maxsize if step is None else step

        def watch(event: str, _: object) -> None:
            nonlocal left
            left -= event in COUNTED
            if left < 0:
                os._exit(KILLED)  # no `finally`, nothing is put right

        sys.addaudithook(watch)
        try:
            work()
        except HeadlessLoginError:
            os._exit(1)
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _context() -> Context:
    return Context(Output(Console(open(os.devnull, "w"))), {})


def _folder(home: CodexHome) -> CodexFolder:
    return CodexFolder(home, {})


def _rotate(home: CodexHome, token: str) -> tuple[str, str] | None:
    """Renew the present sign-in as Codex does: under its locks, in auth.json, for that account."""
    with AuthFile.locked(home) as auth_file:
        try:
            user, _ = token_in(auth_file.read()[0])
        except FileNotFoundError:
            return None
        auth_file.store(signed_in_as(PEOPLE[user], token))
        return user, token


def _check(home: CodexHome, alive: dict[str, str], present: set[str]) -> None:
    """Fail unless, after a command, each token lies in one place, and none else anywhere."""
    list_accounts(home)
    found = places(home)
    assert sorted(place[1:] for place in found) == sorted(alive.items())
    assert {user for name, user, _ in found if name == "auth.json"} == present


@pytest.mark.parametrize("renews", [False, True], ids=["", "Codex renews meanwhile"])
@pytest.mark.parametrize("kept", [GRACE, LIN], ids=["another account", "a colleague"])
def test_use_killed_at_every_step(kept: Person, renews: bool, home: CodexHome) -> None:
    """After the next command one is present and both are there, each once with its newest token."""
    alive = {kept.user_id: "rt_kept", ADA.user_id: "rt_ada"}
    for person in (kept, ADA):
        _folder(home).store(signed_in_as(person, alive[person.user_id]))
    presents = []
    for step in range(MOST):
        code = _in_child(lambda: use(kept.email, _folder(home), _context()), step)
        if renews and (renewed := _rotate(home, f"rt_{step}")):
            alive[renewed[0]] = renewed[1]
        user, _ = token_in(Path(home.auth_file).read_bytes())
        presents.append(user)
        _check(home, alive, {user})
        if code == 0:
            break
        assert code == KILLED
        _in_child(lambda: use("ada", _folder(home), _context()))
    assert presents[-1] == kept.user_id
    assert presents.count(ADA.user_id) > 20
    assert presents.count(kept.user_id) > 5, "the kills came too early"


ACTS = ("sign in", "use", "back", "renew", "remove", "log out", "log out of all")
Act = tuple[str, str, int | None, bool]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ACTS),
            st.sampled_from(sorted(PEOPLE)),
            st.none() | st.integers(0, 80),
            st.booleans(),
        ),
        min_size=3,
        max_size=12,
    )
)
def test_whatever_is_done_and_killed(acts: list[Act]) -> None:
    """Sign-ins, switches, Codex's renewals, removals, kills in any order: nothing lost or doubled.

    What a kill leaves open is which of two states there is: before, or after.
    """
    with TemporaryDirectory() as path:
        home, alive = CodexHome(path), dict[str, str]()
        for number, (act, user, step, renews) in enumerate(acts):
            token = f"rt_{number}"
            before, was = dict(alive), _present(home)
            code = _in_child(partial(_do, home, act, user, token), step)
            after = _expected(act, user, token, before, was)
            if renews and (renewed := _rotate(home, f"{token}-renewed")):
                whose, new = renewed
                # Which of the two states it was is seen by who was renewed, and what is kept.
                before, after = ({**state, whose: new} if whose in state else state
                                 for state in (before, after))  # fmt: skip
            list_accounts(home)
            found = places(home)
            alive = {whose: token for _, whose, token in found}
            assert len(alive) == len(found), "one lies in two places"
            assert sum(name == "auth.json" for name, *_ in found) == (_present(home) is not None)
            if code == KILLED:
                some = act == "log out of all" and alive.items() <= before.items()
                assert alive in (before, after) or some
            else:
                assert alive == after, (act, code)


def _present(home: CodexHome) -> str | None:
    try:
        return token_in(Path(home.auth_file).read_bytes())[0]
    except FileNotFoundError:
        return None


def _do(home: CodexHome, act: str, user: str, token: str) -> None:
    person, folder = PEOPLE[user], _folder(home)
    if act == "sign in":
        folder.store(signed_in_as(person, token))
    elif act in ("use", "back"):
        use("-" if act == "back" else person.email, folder, _context())
    elif act == "renew":
        _rotate(home, token)
    elif act == "remove":
        remove(person.email, folder, _context())
    else:
        logout(home, _context(), revoke=False, every=act.endswith("all"))


def _expected(
    act: str, user: str, token: str, alive: dict[str, str], present: str | None
) -> dict[str, str]:
    """Return which tokens there are after an act that was not killed."""
    if act == "sign in":
        return {**alive, user: token}
    if act == "renew":
        return {**alive, present: token} if present else alive
    if act == "remove":
        return {whose: t for whose, t in alive.items() if whose != user or user == present}
    if act == "log out":
        return {whose: t for whose, t in alive.items() if whose != present}
    return {} if act == "log out of all" else alive


def test_switches_and_renewals_at_once(home: CodexHome) -> None:
    """Several processes switch at random while Codex renews: every renewal is where it belongs."""
    for person in PEOPLE.values():
        _folder(home).store(signed_in_as(person, f"rt_{person.user_id}"))
    log = Path(home.path).with_name("renewed")
    log.touch()

    def switch(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        for _ in range(15):
            with suppress(HeadlessLoginError):  # another one was quicker
                use(dice.choice([*(p.email for p in PEOPLE.values()), "-"]), *parts())

    def renew(seed: int) -> None:
        for number in range(25):
            with AuthFile.locked(home) as auth_file:
                user, _ = token_in(auth_file.read()[0])
                auth_file.store(signed_in_as(PEOPLE[user], token := f"rt_{seed}-{number}"))
                with log.open("a") as file:
                    file.write(f"{user} {token}\n")

    def parts() -> tuple[CodexFolder, Context]:
        return _folder(home), _context()

    works = [partial(switch, seed) for seed in range(3)] + [partial(renew, 7)]
    with ThreadPoolExecutor(len(works)) as pool:
        assert [*pool.map(_in_child, works)] == [0] * len(works)
    newest = {user: f"rt_{user}" for user in PEOPLE}
    newest |= dict(line.split() for line in log.read_text().splitlines())
    found = {user: token for _, user, token in places(home)}
    assert found == newest
    assert len(places(home)) == len(PEOPLE)


# From outside, at an issuer whose refresh tokens work once, beside the real Codex.


class Lineages(People):
    """Remembers what came for each refresh token, and whether we had asked or Codex."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: dict[str, tuple[str, bool]] = {}  # what came for it, and whether to us
        self.refused_to_us: list[str] = []

    def answer(self, request: RecordedRequest) -> Answer:
        answer = super().answer(request)
        sent = request.form().get("refresh_token") if request.path == "/oauth/token" else None
        if sent and answer.status == 200:
            self.spent[sent] = json.loads(answer.body)["refresh_token"], is_ours(request)
        elif sent and is_ours(request):
            self.refused_to_us.append(sent)
        return answer


@pytest.fixture
def switching(codex_home: Path) -> Iterator[Machine]:
    """A folder with three accounts, all of which the same issuer has signed in."""
    with Lineages() as issuer:
        machine = Machine(codex_home, issuer)
        for person in PEOPLE.values():
            assert_ended(machine.sign_in(person), 0)
        yield machine


def _lost_by_codex(machine: Machine, issuer: Lineages) -> list[Person]:
    """Fail unless each account's living refresh token lies in one place, and nobody else's there.

    Returns whose Codex has lost: where the account changes while it refreshes, it drops what it
    gets (codex-facts.md section 14).
    """
    list_accounts(machine.home)
    found = places(machine.home)
    assert sorted(user for _, user, _ in found) == sorted(PEOPLE)
    assert [name for name, *_ in found].count("auth.json") == 1
    lost = []
    for name, user, token in found:
        assert issuer.whose(token) == PEOPLE[user], "a token in another account"
        if token in issuer.spent:
            assert not issuer.spent[token][1], f"{name}: we have lost what came for its token"
            lost.append(PEOPLE[user])
    return lost


ROUNDS, PROCESSES = race_size("3x12")


@pytest.mark.timeout(120 + ROUNDS * PROCESSES * 5)
def test_all_refresh_while_accounts_are_switched(switching: Machine) -> None:
    """Ours and the real Codex refresh and we switch, at once: no token is lost by us or misplaced.

    None of ours spends a token twice, or is refused one that Codex has not spent before.
    """
    issuer = switching.issuer
    assert isinstance(issuer, Lineages)

    def token() -> None:
        outcome = switching.run("token", "--refresh")
        if outcome.exit_code == 3:
            assert "refresh_token_reused" in outcome.err
        else:
            assert_ended(outcome, 0)

    def switch() -> None:
        who = random.choice([*(person.email for person in PEOPLE.values()), "-"])  # noqa: S311
        outcome = switching.run("accounts", "use", who)
        if outcome.exit_code != 0:
            assert_ended(outcome, 6, "Another program has just switched.")

    def codex() -> None:
        refreshed_by_codex(switching.folder)  # which may lose

    with ThreadPoolExecutor(PROCESSES) as pool:
        for _ in range(ROUNDS):
            calls = [(token, switch, codex)[number % 3] for number in range(PROCESSES)]
            random.shuffle(calls)
            [*pool.map(lambda call: call(), calls)]
            for person in _lost_by_codex(switching, issuer):
                assert_ended(switching.sign_in(person), 0)
            assert not [sent for sent in issuer.refused_to_us if issuer.spent[sent][1]]
            assert not _lost_by_codex(switching, issuer)
    assert {ours for _, ours in issuer.spent.values()} == {True, False}
    for person in PEOPLE.values():  # each lives at the issuer
        switching.ok("accounts", "use", person.email)
        assert_ended(switching.run("token", "--refresh"), 0)
