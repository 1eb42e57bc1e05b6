"""`accounts`: the sign-ins that a Codex folder has held, switched without losing or copying one."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.accounts import Accounts
from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.running import running_codexes
from headless_login.commands.accounts import remove, use
from headless_login.commands.context import Context
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import HeadlessLoginError, LocalTrouble
from headless_login.practice.issuer import Person
from headless_login.practice.person import approve
from headless_login.terminal.output import Console, Output
from tests.support.codex import refreshed_by_codex, running_codex
from tests.support.machine import has_mode, in_namespace, needs_proc
from tests.support.people import ADA, GRACE, KEPT, LIN, Machine, places, signed_in_as
from tests.support.program import (
    COMMAND,
    assert_ended,
    environment,
    events_in,
    until,
)
from tests.support.stored_files import document, jwt, write

KEYS = ("sk-proj-FIRST-0123456789abcdefghij", "sk-proj-OTHER-0123456789abcdefghij")
LIST = "kept: headless-login accounts"


def test_a_switch_and_back(machine: Machine) -> None:
    """Somebody else's sign-in is kept, listed, used and forgotten, each said in one sentence."""
    assert "kept" not in machine.sign_in(ADA).err
    said = assert_ended(machine.sign_in(GRACE), 0).err
    assert "This replaces the sign-in with ChatGPT as ada@example.com (plus plan) (if" in said
    assert f"Replaced the sign-in with ChatGPT as ada@example.com (plus plan) ({LIST})." in said
    (kept,) = machine.kept
    assert has_mode(kept, 0o600)
    assert has_mode(kept.parent, 0o700)
    assert [(each["email"], each["present"]) for each in machine.listed()] == [
        ("grace@example.com", True),
        ("ada@example.com", False),
    ]
    first, second = machine.run("accounts", "list").out.splitlines()
    assert first.startswith("* ChatGPT as grace@example.com (pro plan), account 2c8e4b51-")
    assert second.startswith("  ChatGPT as ada@example.com (plus plan), account 1b9f6f3e-")
    assert second.endswith(" UTC, renewable")
    hers = places(machine.home)
    switched = assert_ended(machine.run("accounts", "use", "ada", "--json"), 0)
    (event,) = events_in(switched.out)
    assert (event["event"], event["email"]) == ("switched", "ada@example.com")
    assert "Switched to ChatGPT as ada@example.com (plus plan); ChatGPT as grace" in switched.err
    assert "codex uses it from now on." in switched.err
    assert {place[1:] for place in places(machine.home)} == {place[1:] for place in hers}
    assert machine.present[0] == ADA.user_id
    machine.ok("accounts", "use", "-")
    assert machine.present[0] == GRACE.user_id
    assert "Already signed in" in machine.ok("accounts", "use", "grace@example.com")
    assert "was not revoked" in machine.ok("accounts", "remove", "1b9f6f3e")
    assert machine.kept == []
    assert_ended(machine.run("accounts", "use", "-"), 2, "No other sign-in is kept")
    assert_ended(machine.run("accounts", "remove", "grace"), 2, "Use: headless-login logout")
    assert machine.issuer.revoked == []


def test_the_same_person_again_keeps_nothing(machine: Machine) -> None:
    """A new sign-in of an account takes the place of its old one, present or kept."""
    for person in (ADA, ADA, GRACE, ADA):
        said = assert_ended(machine.sign_in(person), 0).err
    assert "Replaced the sign-in with ChatGPT as grace@example.com" in said
    assert [place[1] for place in places(machine.home)] == [GRACE.user_id, ADA.user_id]


def test_keys_are_kept_as_well(machine: Machine) -> None:
    """A key is named by its mask, and shown in no other way."""
    for key in KEYS:
        said = machine.ok("login", "--with-api-key", stdin=key)
    assert f"Replaced the sign-in with the API key sk-proj-***fghij ({LIST})." in said
    machine.sign_in(GRACE)
    listed = machine.listed()
    assert [each["mode"] for each in listed] == ["chatgpt", "apikey", "apikey"]
    assert len({each["who"] for each in listed}) == 3, "the masks are alike; the names are not"
    outcome = machine.run("accounts", "use", "sk-proj-")
    assert_ended(outcome, 2, "That names 2 sign-ins.", *(each["who"] for each in listed[1:]))
    said = machine.ok("accounts", "use", listed[2]["who"])
    assert KEYS[0] in machine.auth_file.read_text()
    wrong = machine.run("accounts", "use", KEYS[1])
    assert_ended(wrong, 2, "That names no sign-in here.")
    assert not [key for key in KEYS if key in said + outcome.err + wrong.err]


def test_codexs_rotation_goes_back_with_its_account(machine: Machine) -> None:
    """The real Codex refreshes each of two accounts between switches, and stays signed in."""
    machine.sign_in(ADA)
    machine.sign_in(GRACE)
    for _ in range(2):
        for person in (ADA, GRACE):
            machine.ok("accounts", "use", person.email)
            before = machine.present
            said = refreshed_by_codex(machine.folder)
            assert (said["authMethod"], machine.present[0]) == ("chatgpt", person.user_id)
            assert said["authToken"] in machine.auth_file.read_text()
            assert machine.present != before
    assert len(places(machine.home)) == 2


@needs_proc
def test_a_running_codex_is_named(machine: Machine) -> None:
    """It stays with the old account: by a switch, and by a sign-in."""
    machine.sign_in(ADA)
    with running_codex(machine.folder, "app-server") as codex:
        until(lambda: running_codexes(machine.home) == [codex.pid])
        noted = f"A Codex is running (process {codex.pid}) and stays with ChatGPT as"
        assert f"{noted} ada@" in machine.sign_in(GRACE).err
        assert f"{noted} grace@" in machine.ok("accounts", "use", "ada")
    assert "A Codex is running" not in machine.ok("accounts", "use", "-")


@pytest.mark.parametrize(
    ("name", "executable", "variables", "found"),
    [
        ("codex", "codex", b"CODEX_HOME={home}", True),
        ("tokio-rt", "codex-x86_64", b"CODEX_HOME={home}", True),
        ("codex", "node", b"HOME={above}", True),
        ("bash", "bash", b"CODEX_HOME={home}", False),
        ("codex", "codex", b"CODEX_HOME=/elsewhere", False),
        ("codex", "codex", b"no variable", False),
    ],
)
def test_who_is_a_codex(
    name: str, executable: str, variables: bytes, found: bool, tmp_path: Path
) -> None:
    """By its own name or its program's, and by its Codex folder; what cannot be read is none."""
    home, process = tmp_path / ".codex", tmp_path / "proc" / "17"
    process.mkdir(parents=True)
    home.mkdir()
    (process / "comm").write_text(f"{name}\n")
    (process / "exe").symlink_to(f"/usr/bin/{executable}")
    (process / "cwd").symlink_to("/")
    given = variables.replace(b"{home}", str(home).encode())
    (process / "environ").write_bytes(given.replace(b"{above}", str(tmp_path).encode()) + b"\0A=b")
    (process.parent / "18").mkdir()
    (process.parent / "self").mkdir()
    pids = running_codexes(CodexHome(str(home)), proc=str(process.parent))
    assert pids == ([17] if found else [])


# Without the command line.


def _held(home: CodexHome, *accounts: Credentials) -> None:
    """Have a folder hold these, the last one present."""
    for each in accounts:
        with Accounts.locked(home) as held:
            held.replace(each)


def _use(home: CodexHome, who: str, **environ: str) -> str:
    said = StringIO()
    use(who, CodexFolder(home, environ), Context(Output(Console(said)), environ))
    assert "MARKED" not in said.getvalue()
    return said.getvalue()


def _refused(home: CodexHome, who: str) -> HeadlessLoginError:
    before = places(home)
    with pytest.raises(HeadlessLoginError) as caught:
        _use(home, who)
    assert places(home) == before
    return caught.value


NAMES = {
    "grace@example.com": GRACE,
    "GRACE@Example.com": GRACE,
    "g": GRACE,
    "2c8e": GRACE,
    "lin": LIN,
    "ada": None,  # present already
    **dict.fromkeys(("x", "", " ", "@example.com", "user-lin"), "That names no sign-in here."),
    ADA.account_id: "That names 2 sign-ins.",
    "1b": "That names 2 sign-ins.",
}


@pytest.mark.parametrize("who", NAMES)
def test_who_is_meant(who: str, home: CodexHome) -> None:
    """An address or id, whole or its beginning, that only one has; else the candidates are told."""
    _held(home, *(signed_in_as(person) for person in (GRACE, LIN, ADA)))
    expected = NAMES[who]
    if isinstance(expected, str):
        error = _refused(home, who)
        assert (error.error, error.exit_code, error.message) == ("unknown_account", 2, expected)
        assert "lin@example.com" in error.hint
        return
    _use(home, who)
    present, *_ = [user for name, user, _ in places(home) if name == "auth.json"]
    assert present == (expected or ADA).user_id


def test_the_whole_name_beats_a_beginning(home: CodexHome) -> None:
    longer = Person("grace@example.com.au", "acc-au", "plus", "user-au")
    _held(home, *(signed_in_as(person) for person in (longer, GRACE, ADA)))
    _use(home, "grace@example.com")
    assert GRACE.user_id in [user for name, user, _ in places(home) if name == "auth.json"]


def test_one_account_by_two_modes(home: CodexHome) -> None:
    """What shares every name is told apart by the name of its file."""
    claims = {"account_id": ADA.account_id, "chatgpt_user_id": ADA.user_id, "email": ADA.email}
    agent = {"auth_mode": "agentIdentity", "OPENAI_API_KEY": None, "agent_identity": jwt(claims)}
    _held(home, Credentials(json.dumps(agent).encode()), signed_in_as(ADA), signed_in_as(GRACE))
    error = _refused(home, "ada@example.com")
    assert error.message == "That names 2 sign-ins."
    for name in [part.split()[0] for part in error.hint.removeprefix("There are: ").split("; ")]:
        assert "Switched to" in _use(home, name)


def test_nobodys_sign_ins_are_not_taken_for_one(home: CodexHome) -> None:
    """Tokens that name nobody are told apart by themselves; colleagues by their addresses."""
    nameless: list[Credentials] = []
    for number in range(2):
        content: Any = document()
        token = jwt({"iat": 1, "exp": 2})
        content["tokens"] |= {"id_token": token, "access_token": token, "account_id": None}
        content["tokens"]["refresh_token"] = f"rt_nobody-{number}"
        nameless.append(Credentials(json.dumps(content).encode()))
    _held(home, *nameless, signed_in_as(ADA))
    assert {token for *_, token in places(home)} == {"rt_MARKED", "rt_nobody-0", "rt_nobody-1"}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ('forced_login_method = "api"', "login_method_not_allowed"),
        ('forced_chatgpt_workspace_id = "acc-x"', "workspace_not_allowed"),
        ('cli_auth_credentials_store = "keyring"', "store_not_used"),
    ],
)
def test_what_codex_would_remove_is_not_made_present(
    config: str, word: str, home: CodexHome
) -> None:
    """Codex deletes a file that its settings forbid: the kept one stays kept."""
    _held(home, signed_in_as(GRACE), Credentials.api_key(KEYS[0]))
    Path(home.config_file).write_text(config)
    with pytest.raises(HeadlessLoginError) as caught:
        _use(home, "grace")
    assert caught.value.error == word
    assert KEYS[0] in Path(home.auth_file).read_text()


def test_an_auth_file_that_cannot_be_read_is_not_switched_away(home: CodexHome) -> None:
    """It may be in the middle of being written; a sign-in replaces it, and keeps the others."""
    _held(home, signed_in_as(GRACE), signed_in_as(ADA))
    write(home, b'{"auth_mode": "chatgpt", "tok')
    with pytest.raises(LocalTrouble, match="torn"):
        _use(home, "grace")
    assert Path(home.auth_file).read_bytes().endswith(b"tok")
    said: list[str] = []
    CodexFolder(home, {}).store(signed_in_as(LIN), said.append)
    assert said == [f"What was in {home.auth_file} could not be understood, so it is not kept."]
    assert {user for _, user, _ in places(home)} == {LIN.user_id, GRACE.user_id}


def test_an_old_auth_file_that_was_put_back_costs_no_newer_tokens(home: CodexHome) -> None:
    """The kept copy of the present account is newer than auth.json: it stays, and can be used."""
    _held(home, signed_in_as(ADA, "rt_new"), signed_in_as(GRACE))
    write(home, signed_in_as(ADA, "rt_spent", age=60).content)
    with Accounts.locked(home) as held:
        assert [account.stored.refresh_token for account in held.listing.kept] == ["rt_new"]
    _use(home, "ada")
    assert places(home) == [("auth.json", ADA.user_id, "rt_new")]


def test_a_copy_that_cannot_be_renewed_costs_no_refresh_token(home: CodexHome) -> None:
    """An access-only copy of the same account takes no full one's place, present or kept."""
    ada, copy = signed_in_as(ADA, age=60), signed_in_as(ADA, "")
    both = [(GRACE.user_id, "rt_MARKED"), (ADA.user_id, "rt_MARKED")]
    _held(home, ada, copy)
    assert [token for *_, token in places(home)] == ["rt_MARKED", ""]
    _held(home, signed_in_as(GRACE), copy)
    _use(home, "ada")
    assert sorted(place[1:] for place in places(home)) == both
    os.unlink(home.auth_file)
    _held(home, copy, signed_in_as(GRACE), ada, signed_in_as(GRACE))
    assert sorted(place[1:] for place in places(home)) == both


UNUSABLE = {
    '{"format": 2, "accounts": []}': "has the format 2, which this version does not know",
    '{"format": 1}': "is damaged",
    "{": "is damaged",
    '{"format": 1, "last_present": 1, "auth_json": "{}"}': "is damaged",
    '{"format": 1, "last_present": NaN, "auth_json": "{}"}': "is damaged",
}


@pytest.mark.parametrize("content", UNUSABLE)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(content: str, machine: Machine) -> None:
    """By every command; even its name is not taken from it, and `logout --all` says it stays."""
    _held(machine.home, signed_in_as(ADA), signed_in_as(GRACE))
    (kept,) = machine.kept
    kept.write_text(content)
    said = f"{kept} {UNUSABLE[content]}; it is left alone."
    assert said in machine.ok("accounts")
    write(machine.home, signed_in_as(ADA).content)
    _held(machine.home, signed_in_as(GRACE))
    assert "Switched" in machine.ok("accounts", "use", "ada")
    assert_ended(machine.run("logout", "--all"), 6, said)
    assert kept.read_text() == content
    assert machine.kept == [kept]


@pytest.mark.parametrize("planted", [".headless-login", "accounts"])
def test_what_is_no_folder_of_ours_is_said_before_the_address(
    planted: str, machine: Machine
) -> None:
    """And nothing is replaced that could not be kept."""
    write(machine.home, signed_in_as(ADA).content)
    path = machine.folder / (KEPT if planted == "accounts" else KEPT.parent)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text("")
    outcome = machine.run("login", "start")
    assert_ended(outcome, 6, f"{path} is no folder of this user's.", "Move it away.")
    with pytest.raises(LocalTrouble, match="no folder of this user's"):
        CodexFolder(machine.home, {}).store(Credentials.api_key(KEYS[0]))
    assert machine.present[0] == ADA.user_id
    assert "gone" in machine.ok("logout")


def test_where_a_folder_takes_no_files(codex_home: Path) -> None:
    """A single file mounted into a read-only folder: said before, and replaced all the same."""
    (codex_home / "auth.json").write_bytes(Credentials.api_key(KEYS[0]).content)
    script = (
        'touch "$1/auth.json"; mount --bind "$1" "$1"; mount --bind "$1/auth.json" "$1/auth.json"\n'
        'mount -o remount,bind,ro "$1"; mount -o remount,bind,rw "$1/auth.json"\n'
        f'echo {KEYS[1]} | "$2" login --with-api-key'
    )
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert "which cannot be kept: this folder takes no files." in done.stderr
    assert "Replaced the sign-in with the API key sk-proj-***fghij." in done.stderr
    assert KEYS[1] in (codex_home / "auth.json").read_text()
    assert os.listdir(codex_home) == ["auth.json"]


def test_a_mounted_file_is_switched_in_place(codex_home: Path, home: CodexHome) -> None:
    _held(home, Credentials.api_key(KEYS[0]), signed_in_as(ADA))
    script = 'mount --bind "$1/auth.json" "$1/auth.json"; "$2" accounts use -; "$2" accounts'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert "it was written in place" in done.stderr
    assert done.stdout.startswith("* the API key"), done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_pending_sign_ins_and_accounts_leave_each_other_alone(machine: Machine) -> None:
    _held(machine.home, signed_in_as(ADA), signed_in_as(GRACE))
    machine.issuer.person = LIN
    answer = approve(machine.run("login", "start").out.splitlines()[0])
    assert "Switched" in machine.ok("accounts", "use", "-")
    machine.ok("login", "finish", "-", stdin=answer)
    assert len(machine.listed()) == 3


def test_forgetting_needs_no_auth_file(home: CodexHome) -> None:
    _held(home, signed_in_as(GRACE), signed_in_as(ADA))
    os.unlink(home.auth_file)
    said = StringIO()
    remove("grace", CodexFolder(home, {}), Context(Output(Console(said)), {}))
    assert places(home) == []
