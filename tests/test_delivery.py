"""`push` and `login --to` over a real ssh: what arrives, is refused, or is kept."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.commands.command_line import command_to_deliver
from headless_login.practice.person import approve
from tests.support.hosts import Hosts
from tests.support.machine import has_mode
from tests.support.people import ADA, GRACE, Machine, signed_in_as, token_in
from tests.support.program import Outcome, Piped, assert_ended, events_in
from tests.support.stored_files import OLD, store

ADAS = signed_in_as(ADA).content


@pytest.fixture(autouse=True)
def _finds_the_hosts(hosts: Hosts, machine: Machine, tmp_path: Path) -> None:
    """Have the command find the ssh that knows them, and a home that is not the user's."""
    machine.environ = hosts.path(machine.environ) | {"HOME": str(tmp_path)}


@pytest.fixture
def signed_in(machine: Machine) -> Machine:
    """A machine with a sign-in to be copied."""
    store(machine.home, Credentials(ADAS))
    return machine


def _put(hosts: Hosts, name: str, content: bytes) -> None:
    hosts.home(name).mkdir(mode=0o700, parents=True)
    hosts.auth_file(name).touch(0o600)
    hosts.auth_file(name).write_bytes(content)


def _modes(folder: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.lstat().st_mode)) for path in folder.rglob("*")}


# What arrives.


@pytest.mark.parametrize("port", ["plain", "fish"])
def test_a_copy_arrives(port: str, hosts: Hosts, signed_in: Machine) -> None:
    """Whole, private, with Codex's lock files; also through a banner, and fish as login shell."""
    target = hosts.add("web", port=port)
    outcome = assert_ended(signed_in.run("push", target, "--json"), 0, "share one refresh token")
    (event,) = events_in(outcome.out)
    assert (event["event"], event["target"], event["access_only"]) == ("delivered", target, False)
    assert hosts.auth_file("web").read_bytes() == ADAS == signed_in.auth_file.read_bytes()
    names = {path.name for path in hosts.home("web").iterdir()}
    assert names == {"auth.json", "auth.lock", "auth.json.lock"}
    assert _modes(hosts.home("web")) == {"0o600"}
    assert has_mode(hosts.home("web"), 0o700)
    assert_ended(signed_in.run("push", target), 0)


def test_a_jump_host_and_a_slow_link(hosts: Hosts, signed_in: Machine) -> None:
    """The user's own settings lead there, however long it takes."""
    hosts.add("hop")
    inner = hosts.add("inner", "ProxyJump hop")
    slow = hosts.add_behind("slow", piece=512, pause=0.01)
    assert_ended(signed_in.run("push", inner, slow), 0, "Delivered to 2 of 2.")
    for name in ("inner", "slow"):
        assert hosts.auth_file(name).read_bytes() == ADAS


def test_access_alone_holds_no_refresh_token(hosts: Hosts, signed_in: Machine) -> None:
    """The copy works until its access token ends, which is said; the token that renews stays."""
    target = hosts.add("reader")
    outcome = assert_ended(
        signed_in.run("push", target, "--access-only", "--min-valid", "0", "--json"), 0, "until"
    )
    assert events_in(outcome.out)[0]["access_only"] is True
    copy = json.loads(hosts.auth_file("reader").read_bytes())
    assert copy["tokens"].pop("refresh_token") == ""
    document = json.loads(ADAS)
    assert document["tokens"].pop("refresh_token")
    assert copy == document


def test_many_at_once(hosts: Hosts, signed_in: Machine) -> None:
    """32 targets and two that fail: neither is in the way of another, and all are told."""
    good = [hosts.add(f"many{number}") for number in range(32)]
    bad = [hosts.add(f"bad{number}", "ProxyCommand false") for number in range(2)]
    outcome = assert_ended(signed_in.run("push", bad[0], *good, bad[1], "--json"), 6, "32 of 34")
    told = {event["target"]: event["event"] for event in events_in(outcome.out)}
    assert told == dict.fromkeys(good, "delivered") | dict.fromkeys(bad, "error")
    for number in range(32):
        assert hosts.auth_file(f"many{number}").read_bytes() == ADAS


def test_a_move_leaves_nothing_here(hosts: Hosts, signed_in: Machine) -> None:
    """It is removed here once it is there; where it is not delivered, it stays."""
    bad, good = hosts.add("off", "ProxyCommand false"), hosts.add("new")
    assert_ended(signed_in.run("push", bad, "--move"), 6)
    assert signed_in.auth_file.read_bytes() == ADAS
    assert_ended(signed_in.run("push", good, "--move"), 0, "Signed out here")
    assert not signed_in.auth_file.exists()
    assert hosts.auth_file("new").read_bytes() == ADAS
    assert_ended(signed_in.run("push", good), 1)
    assert_ended(signed_in.run("push", good, "--move", "--codex-home", "/nonexistent"), 1)


def test_a_move_to_itself_moves_nothing(hosts: Hosts, signed_in: Machine) -> None:
    """A shared home, ssh to this machine or the folder itself: what is here stays here."""
    shared = hosts.add("shared")
    hosts.home("shared").parent.mkdir(exist_ok=True)
    hosts.home("shared").symlink_to(signed_in.folder)
    for target in (shared, str(signed_in.folder)):
        assert_ended(signed_in.run("push", target, "--move"), 2, "this very folder")
        assert signed_in.auth_file.read_bytes() == ADAS
    assert not list(signed_in.folder.glob(".headless-login-*"))


def test_a_folder_is_a_target(signed_in: Machine, tmp_path: Path) -> None:
    """As a mounted volume; a name that was meant for a machine is not made a folder."""
    folder = tmp_path / "volume" / ".codex"
    folder.parent.mkdir()
    assert_ended(signed_in.run("push", str(folder)), 0)
    assert (folder / "auth.json").read_bytes() == ADAS
    assert_ended(signed_in.run("push", "web1"), 2, "ssh://web1")


# What is refused.

NO_TARGETS = [
    *(
        "ssh://",
        "ssh://-oProxyCommand=touch",
        "ssh://a b",
        "ssh://$(id)",
        "ssh://a;id",
        "ssh://a'b",
    ),
    *(
        "ssh://u@-h",
        "ssh://-u@h",
        "ssh://h:0x1",
        "ssh://h:99999",
        "ssh://a\nb",
        "ssh://%h",
        "ftp://x",
    ),
    *(
        "docker://",
        "docker://-x",
        "docker://a b",
        "docker://a;b",
        "podman://$x",
        "podman://\u202ea",
    ),
    *(
        "k8s://",
        "k8s://a//b",
        "k8s://a/b/c/d",
        "k8s://A",
        "k8s://-n",
        "k8s://a b",
        "--",
        "-x",
        "",
        " ",
    ),
]


@pytest.mark.parametrize("target", NO_TARGETS)
def test_what_names_no_target_runs_nothing(target: str, signed_in: Machine) -> None:
    """It is wrong usage (2), before anything is reached."""
    assert_ended(signed_in.run("push", "--", target), 2)


FOLDERS = ["a b", "a'b", 'a"b', "a$HOME", "a;touch pwned", "$(touch pwned)", "`touch pwned`", "-rf"]
FOLDERS += ["a\\b", "a*", "ä€", "%41", "~", "a&b", "#", "!!"]


def test_a_folder_is_passed_as_it_is(hosts: Hosts, signed_in: Machine) -> None:
    """Whatever its name means to a shell."""
    targets = [hosts.add(f"f{number}") for number in range(len(FOLDERS))]
    places = [f"{hosts.home('x').parent}/{name}/deep" for name in FOLDERS]
    words = [f"{target}{place}" for target, place in zip(targets, places, strict=True)]
    assert_ended(signed_in.run("push", *words), 0)
    for place in places:
        assert Path(place, "auth.json").read_bytes() == ADAS, place
    assert not list(hosts.folder.rglob("pwned"))


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "wrong host key": (("UserKnownHostsFile {0}/wrong_hosts",), "Host key verification failed"),
    "refused key": (("IdentityFile {0}/other",), "Permission denied"),
    "no connection": (("ProxyCommand false",), "ssh says"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_unreachable_host_is_named(kind: str, hosts: Hosts, signed_in: Machine) -> None:
    """What ssh says, and the command to try it with."""
    settings, said = REFUSED[kind]
    target = hosts.add("bad", *(each.format(hosts.folder) for each in settings))
    assert_ended(signed_in.run("push", target), 6, said, target, "ssh -- bad true")


def test_a_client_that_is_missing_is_named(signed_in: Machine, tmp_path: Path) -> None:
    """It has to be installed here."""
    signed_in.environ |= {"PATH": str(tmp_path)}
    said = assert_ended(signed_in.run("push", "podman://box"), 6).err
    assert "`podman` cannot be run here" in said


@pytest.mark.parametrize("blocked", ["a file", "no permission", "a broken link"])
def test_a_folder_that_takes_nothing(blocked: str, hosts: Hosts, signed_in: Machine) -> None:
    """It is said before anything is sent, and nothing is changed there."""
    target, home = hosts.add("full"), hosts.home("full")
    home.parent.mkdir(exist_ok=True)
    if blocked == "a file":
        home.write_bytes(b"x")
    elif blocked == "no permission":
        home.symlink_to("/proc/self")
    else:
        home.mkdir()
        (home / "auth.json").symlink_to(home / "nowhere" / "auth.json")
    outcome = assert_ended(signed_in.run("push", target, "--json"), 6)
    assert events_in(outcome.out)[-1]["error"] == "delivery_failed"
    assert "defect" not in outcome.err


def test_somebody_elses_sign_in_stays(hosts: Hosts, signed_in: Machine) -> None:
    """It is replaced with --replace alone; so is one that renews itself, by one that does not."""
    target = hosts.add("hers")
    for content in (signed_in_as(GRACE).content, OLD, ADAS):
        if not hosts.auth_file("hers").exists():
            _put(hosts, "hers", content)
        hosts.auth_file("hers").write_bytes(content)
        words = ("push", target, *(["--access-only"] if content == ADAS else []))
        words += ("--min-valid", "0")
        assert_ended(signed_in.run(*words), 6, "--replace")
        assert hosts.auth_file("hers").read_bytes() == content
        assert_ended(signed_in.run(*words, "--replace"), 0)
        assert token_in(hosts.auth_file("hers").read_bytes())[0] == ADA.user_id


def test_what_codex_there_would_not_use(hosts: Hosts, signed_in: Machine) -> None:
    """The store and the ways to sign in that are set there count there."""
    target = hosts.add("managed")
    hosts.home("managed").mkdir(parents=True)
    config = hosts.home("managed") / "config.toml"
    for setting, word in (
        ('cli_auth_credentials_store = "keyring"', "store_not_used"),
        ('forced_login_method = "api"', "login_method_not_allowed"),
        ('forced_chatgpt_workspace_id = "other"', "workspace_not_allowed"),
        ("forced_login_method = ", "store_failed"),
    ):
        config.write_text(f"{setting}\n")
        outcome = assert_ended(signed_in.run("push", target, "--json"), 6, target)
        assert events_in(outcome.out)[-1]["error"] == word
    assert not hosts.auth_file("managed").exists()


def test_a_link_that_is_cut_leaves_all_or_nothing(hosts: Hosts, signed_in: Machine) -> None:
    """At whatever stage: the old sign-in there or the new one, whole, and nothing beside it."""
    before = signed_in_as(ADA, "rt_OLD").content
    kinds = set()
    for limit in range(400, 40_000, 1700):
        name = f"cut{limit}"
        target = hosts.add_behind(name, limit=limit)
        _put(hosts, name, before)
        outcome = signed_in.run("push", target)
        content = hosts.auth_file(name).read_bytes()
        assert content in (before, ADAS)
        assert content == ADAS or outcome.exit_code == 6
        assert not list(hosts.home(name).glob(".auth-*"))
        kinds.add((outcome.exit_code, content == ADAS))
        if outcome.exit_code == 0:
            break
    assert {(6, False), (0, True)} <= kinds


# A sign-in for another machine.


def _sign_in(machine: Machine, *words: str, people: tuple[Any, ...] = (ADA,)) -> Outcome:
    """Sign in by paste, once for each person."""
    machine.issuer.person = people[0]
    with Piped("login", "--paste-redirect", *words, environ=machine.environ) as program:
        return program.finish(approve(program.read_url()) + "\n")


def test_a_sign_in_for_another_machine(hosts: Hosts, machine: Machine) -> None:
    """It is that machine's own, and nothing of it is here."""
    target = hosts.add("own")
    outcome = assert_ended(_sign_in(machine, "--to", target, "--json"), 0, f"on {target}")
    event = events_in(outcome.out)[-1]
    assert (event["target"], event["auth_file"]) == (target, str(hosts.auth_file("own")))
    assert token_in(hosts.auth_file("own").read_bytes())[0] == ADA.user_id
    assert not machine.auth_file.exists()


def test_nothing_is_shown_before_the_target_is_reached(hosts: Hosts, machine: Machine) -> None:
    """A person does not sign in for a machine that takes nothing."""
    target = hosts.add("off", "ProxyCommand false")
    outcome = assert_ended(machine.run("login", "--paste-redirect", "--to", target), 6)
    assert "/oauth/authorize" not in outcome.err
    other = hosts.add("hers")
    _put(hosts, "hers", OLD)
    outcome = assert_ended(machine.run("login", "--paste-redirect", "--to", other), 6, "--replace")
    assert "/oauth/authorize" not in outcome.err


def _command_in(said: str) -> list[str]:
    (line,) = [line for line in said.splitlines() if " push " in line]
    words = shlex.split(line)
    return words[words.index("push") :]


def test_a_sign_in_that_does_not_arrive_is_kept(hosts: Hosts, machine: Machine) -> None:
    """The link breaks after the exchange: one command delivers it, and nothing is left here."""
    target = hosts.add("gone")
    with Piped("login", "--paste-redirect", "--to", target, environ=machine.environ) as program:
        address = program.read_url()
        hosts.add("gone", "ProxyCommand false", anew=True)
        outcome = assert_ended(program.finish(approve(address) + "\n"), 6, "is safe in")
    words = _command_in(outcome.err)
    folder = Path(words[-1])
    assert _modes(folder) == {"0o600"}
    assert not machine.auth_file.exists()
    assert machine.listed() == []
    hosts.add("gone", anew=True)
    assert_ended(machine.run(*words), 0)
    assert token_in(hosts.auth_file("gone").read_bytes())[0] == ADA.user_id
    assert not folder.exists()


def test_another_person_than_the_one_there(hosts: Hosts, machine: Machine) -> None:
    """Known only afterwards: it is kept here, and the command that replaces is said."""
    target = hosts.add("hers")
    _put(hosts, "hers", before := signed_in_as(GRACE).content)
    outcome = assert_ended(_sign_in(machine, "--to", target), 6, "--replace")
    assert hosts.auth_file("hers").read_bytes() == before
    assert_ended(machine.run(*_command_in(outcome.err), "--replace"), 0)
    assert token_in(hosts.auth_file("hers").read_bytes())[0] == ADA.user_id
    words = ("login", "--paste-redirect", "--to", target, "--expect", GRACE.email)
    outcome = assert_ended(machine.run(*words), 6, "--replace")
    assert "/oauth/authorize" not in outcome.err  # this was known before


def test_two_calls_for_another_machine(hosts: Hosts, machine: Machine) -> None:
    """`finish` delivers where `start` was told to; until it is reached, it stays pending."""
    target = hosts.add("chat")
    address = assert_ended(machine.run("login", "start", "--to", target), 0).out.splitlines()[0]
    answer = approve(address)
    hosts.add("chat", "ProxyCommand false", anew=True)
    assert_ended(machine.run("login", "finish", "-", stdin=answer), 6, "stays pending")
    hosts.add("chat", anew=True)
    assert_ended(machine.run("login", "finish", "-", stdin=answer), 0, f"on {target}")
    assert token_in(hosts.auth_file("chat").read_bytes())[0] == ADA.user_id
    assert not machine.auth_file.exists()


def test_one_sign_in_for_each(hosts: Hosts, machine: Machine) -> None:
    """By codes, as of one command: an unreachable one is told, and the others go on."""
    first, off, last = hosts.add("one"), hosts.add("off", "ProxyCommand false"), hosts.add("two")
    words = ("login", "--paste-redirect", "--to", first, "--to", off, "--to", last)
    with Piped(*words, environ=machine.environ) as program:
        program.write(approve(program.read_url()) + "\n")
        program.read_until(f"Signing in for {last}")
        program.read_until(r"(?s)Signing in for \S+two.*/oauth/authorize\S+\n")
        address = [line for line in program.err.splitlines() if "/oauth/authorize" in line][-1]
        outcome = program.finish(approve(address) + "\n")
    assert_ended(outcome, 6, f"{first}: signed in.", f"{off}: failed.", f"{last}: signed in.")
    tokens = {token_in(hosts.auth_file(name).read_bytes())[1] for name in ("one", "two")}
    assert len(tokens) == 2


def test_a_key_for_another_machine(hosts: Hosts, machine: Machine) -> None:
    """Of what was given on standard input nothing is kept here."""
    target = hosts.add("keyed")
    words = ("login", "--with-api-key", "--to", target)
    assert_ended(machine.run(*words, stdin="sk-proj-0123456789abcdefghij"), 0, f"on {target}")
    assert "sk-proj" in hosts.auth_file("keyed").read_text()
    assert not machine.auth_file.exists()


def test_the_command_to_deliver_is_quoted() -> None:
    """Names are names in it, too."""
    command = command_to_deliver("ssh://h/a b", replaces=True)("/home/a b")
    assert shlex.split(command)[-6:] == [
        "push",
        "ssh://h/a b",
        "--move",
        "--replace",
        "--codex-home",
        "/home/a b",
    ]


# `export`.


def test_export_prints_for_pipes_alone(signed_in: Machine) -> None:
    """auth.json as it is, its access alone, as a Secret of Kubernetes or in base64."""
    assert signed_in.run("export").out.strip().encode() == ADAS.strip()
    only = json.loads(signed_in.run("export", "--access-only", "--min-valid", "0").out)
    assert only["tokens"]["refresh_token"] == ""
    from base64 import b64decode

    assert b64decode(signed_in.run("export", "--format", "base64").out) == ADAS
    secret = signed_in.run("export", "--format", "k8s-secret").out
    assert b64decode(secret.rpartition("auth.json: ")[2]) == ADAS
    assert_ended(signed_in.run("export", "--format", "yaml"), 2)
