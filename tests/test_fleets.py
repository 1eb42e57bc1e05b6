"""Several machines with the real Codex: whose sign-in lives on, and README's recipes for fleets."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from headless_login.commands.context import Context
from headless_login.commands.push import push
from headless_login.practice.person import approve
from headless_login.terminal.output import Output
from tests.support.codex import NEWEST, refreshed_by_codex, run_codex
from tests.support.hosts import Hosts
from tests.support.people import ADA, Machine
from tests.support.program import COMMAND, Piped, Variables, assert_ended
from tests.support.renewing import RefreshingIssuer, Renewing
from tests.support.services import Systemd

README = (Path(__file__).parent.parent / "README.md").read_text()
READERS = ("reader1", "reader2")


@pytest.fixture
def owner(machine: Machine, hosts: Hosts, tmp_path: Path) -> Machine:
    """A machine that is signed in, and reaches hosts by ssh."""
    machine.environ = hosts.path(machine.environ) | {"HOME": str(tmp_path)}
    assert_ended(machine.sign_in(ADA), 0)
    return machine


def _refresh_tokens_sent(machine: Machine) -> list[str]:
    forms = [each.form() for each in machine.issuer.requests if each.path == "/oauth/token"]
    return [form["refresh_token"] for form in forms if form["grant_type"] == "refresh_token"]


# Whose sign-in lives on.


def test_sign_ins_of_their_own_live_on(machine: Machine, hosts: Hosts, tmp_path: Path) -> None:
    """After `login --to A --to B` both Codexes refresh several times, and stay signed in."""
    machine.environ = hosts.path(machine.environ) | {"HOME": str(tmp_path)}
    a, b = hosts.add("a"), hosts.add("b")
    words = ("login", "--paste-redirect", "--to", a, "--to", b)
    with Piped(*words, environ=machine.environ) as program:
        program.write(approve(program.read_url()) + "\n")
        program.read_until(rf"(?s)Signing in for {b}.*/oauth/authorize\S+\n")
        address = [line for line in program.err.splitlines() if "/oauth/authorize" in line][-1]
        assert_ended(program.finish(approve(address) + "\n"), 0)
    for _ in range(3):
        for name in ("a", "b"):
            assert refreshed_by_codex(hosts.home(name))["authToken"]
    assert len(set(_refresh_tokens_sent(machine))) == 6
    assert not machine.auth_file.exists()


def test_copies_share_one_future(owner: Machine, hosts: Hosts) -> None:
    """After `push` to A and B, the second Codex to refresh is signed out, as was said."""
    said = owner.ok("push", hosts.add("a"), hosts.add("b"))
    assert "the first machine that renews it" in said
    assert refreshed_by_codex(hosts.home("a"))["authToken"]
    assert not refreshed_by_codex(hosts.home("b"))["authToken"]


def test_readers_never_refresh(renewing: Renewing, hosts: Hosts) -> None:
    """Topped up ten minutes before its end a copy sends nothing; later an empty one, in vain."""
    target, home = hosts.add("reader"), hosts.home("reader")
    environ = hosts.path(renewing.environ)
    for _ in range(2):  # ten minutes are left, and then again
        outcome = Context(Output(), environ)
        assert push(renewing.home, [target], outcome, access_only=True, min_valid=540) == 0
        ours = len(renewing.issuer.refreshes)
        assert refreshed_by_codex(home, forced=False)["authToken"] == renewing.issuer.issued[-1]
        assert len(renewing.issuer.refreshes) == ours
    content = json.loads((home / "auth.json").read_bytes())
    content["tokens"]["access_token"] = _earlier(content["tokens"]["access_token"], 400)
    (home / "auth.json").write_text(json.dumps(content))
    refreshed_by_codex(home, forced=False)
    sent = [each.form().get("refresh_token", "") for each in renewing.issuer.refreshes[ours:]]
    assert set(sent) == {""}


def _earlier(token: str, seconds: float) -> str:
    """Return an access token as it is so many seconds later: all its times lie so much earlier."""
    head, claims, signature = token.split(".")
    document = json.loads(urlsafe_b64decode(claims + "=="))
    moved = {name: document[name] - int(seconds) for name in ("iat", "exp")}
    encoded = urlsafe_b64encode(json.dumps(document | moved).encode()).rstrip(b"=").decode()
    return f"{head}.{encoded}.{signature}"


DAY, HOUR = 86400.0, 3600.0


class Moving(RefreshingIssuer):
    """An issuer whose clock goes on by hand; its access tokens live a day."""

    def __init__(self) -> None:
        super().__init__()
        self.passed, self._access_token_lifetime = 0.0, int(DAY)
        self._now = lambda: time.time() + self.passed


@pytest.fixture
def moving(codex_home: Path) -> Iterator[tuple[Renewing, Moving]]:
    with Moving() as issuer:
        yield Renewing(codex_home, issuer), issuer


def test_a_week_of_renewals(moving: tuple[Renewing, Moving], tmp_path: Path) -> None:
    """By README's rhythm every reader's Codex has a valid token at every moment."""
    owner, issuer = moving
    readers = [tmp_path / f"reader{number}" for number in range(3)]
    for reader in readers:
        reader.mkdir(mode=0o700)
    every, min_valid = 6 * HOUR, 43200.0
    shown = tmp_path / "shown"
    for step in range(28):
        issuer.passed = step * every
        context = Context(Output(), owner.environ, time_of_day=lambda: time.time() + issuer.passed)
        targets = [*map(str, readers)]
        assert push(owner.home, targets, context, access_only=True, min_valid=min_valid) == 0
        for reader in readers:
            tokens = json.loads((reader / "auth.json").read_bytes())["tokens"]
            assert tokens["refresh_token"] == ""
        # Right before the next one, by the reader's own clock.
        shutil.rmtree(shown, ignore_errors=True)
        shutil.copytree(readers[0], shown)
        document = json.loads((shown / "auth.json").read_bytes())
        token = _earlier(document["tokens"]["access_token"], issuer.passed + every)
        document["tokens"]["access_token"] = token
        (shown / "auth.json").write_text(json.dumps(document))
        assert refreshed_by_codex(shown, forced=False)["authToken"] == token
    assert len(issuer.spent_by_us()) == len(issuer.refreshes) > 5  # Codex has sent none


# README's recipes, as they stand.


def _blocks(language: str, wanted: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return [block for block in found if wanted in block]


def _finding_us(environ: Variables) -> Variables:
    return environ | {"PATH": f"{Path(COMMAND).parent}:{environ['PATH']}"}


def _is_access_alone(content: bytes) -> bool:
    tokens: dict[str, Any] = json.loads(content)["tokens"]
    return bool(tokens["access_token"]) and tokens["refresh_token"] == ""


def test_the_ansible_play(owner: Machine, hosts: Hosts, tmp_path: Path) -> None:
    """A real ansible-playbook gives access to every host of the inventory."""
    ansible = shutil.which("ansible-playbook")
    if not ansible:
        pytest.skip("not installed: ansible-playbook")
    for name in READERS:
        hosts.add(name)
    (play,) = _blocks("yaml", "ansible.builtin")
    (tmp_path / "play.yaml").write_text(play)
    inventory = "\n".join(["[codex_readers]", *READERS, ""])
    (tmp_path / "inventory.ini").write_text(inventory)
    environ = _finding_us(owner.environ) | {"ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible")}
    environ |= {"ANSIBLE_REMOTE_TEMP": str(tmp_path / "ansible"), "LC_ALL": "C.UTF-8"}
    words = [ansible, "-i", "inventory.ini", "play.yaml"]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in READERS:
        assert _is_access_alone(hosts.auth_file(name).read_bytes())
    assert run_codex(NEWEST, "login", "status", codex_home=hosts.home(READERS[0]))[0] == 0


def test_the_timer(owner: Machine, hosts: Hosts, tmp_path: Path) -> None:
    """The service's command runs in a real systemd, and the timer's calendar is one."""
    for name in READERS:
        hosts.add(name)
    service, timer = _blocks("ini", "[Service]") + _blocks("ini", "[Timer]")
    (command,) = re.findall(r"(?m)^ExecStart=(.*)$", service)
    (calendar,) = re.findall(r"(?m)^OnCalendar=(.*)$", timer)
    if analyze := shutil.which("systemd-analyze"):
        subprocess.run([analyze, "calendar", calendar], check=True, capture_output=True)
    program, *words = shlex.split(command)
    folder = tmp_path / "service"
    folder.mkdir()
    environ = _finding_us(owner.environ)
    found = shutil.which(program, path=environ["PATH"])
    assert found
    outcome = Systemd(folder).run([found, *words], environ, None)
    assert_ended(outcome, 0)
    for name in READERS:
        assert _is_access_alone(hosts.auth_file(name).read_bytes())


# Stands in for docker and podman: runs the program here, with a home of the container's own.
CONTAINERS = """#!/bin/sh
[ "$1 $2" = "exec -i" ] || exit 9
export HOME={0}/$3; unset CODEX_HOME; mkdir -p "$HOME"; shift 3; exec "$@"
"""


def test_the_lines_for_other_machines(owner: Machine, hosts: Hosts, tmp_path: Path) -> None:
    """Every line runs as it stands; containers and cluster are stand-ins here."""
    clients = _client(tmp_path / "clients", "kubectl")
    for name in ("docker", "podman"):
        (clients / name).write_text(CONTAINERS.format(tmp_path))
        (clients / name).chmod(0o755)
    for name in ("build1", "build2", "reader1", "new-laptop"):
        hosts.add(name)
    environ = _finding_us(owner.environ)
    environ["PATH"] = f"{clients}:{environ['PATH']}"
    (signing,), (copying,) = _blocks("sh", "--to ssh://build1"), _blocks("sh", "push ssh://build1")
    with Piped(*shlex.split(signing)[1:], "--paste-redirect", environ=environ) as program:
        program.write(approve(program.read_url()) + "\n")
        program.read_until(r"(?s)Signing in for docker://ci.*/oauth/authorize\S+\n")
        address = [line for line in program.err.splitlines() if "/oauth/authorize" in line][-1]
        assert_ended(program.finish(approve(address) + "\n"), 0)
    assert (tmp_path / "ci" / ".codex" / "auth.json").exists()
    first, second, third, fourth = copying.splitlines()  # the last one moves it away
    for line in (first, second, fourth, third):
        subprocess.run(["sh", "-euc", line], env=environ, check=True)
    assert _is_access_alone((tmp_path / "box" / ".codex" / "auth.json").read_bytes())
    assert (clients / "words").read_text().split() == ["apply", "-f", "-"]
    assert not owner.auth_file.exists()
    assert hosts.auth_file("new-laptop").exists()


def _client(folder: Path, name: str) -> Path:
    """Put a stand-in for a client into a folder of PATH, which keeps its arguments and input."""
    folder.mkdir(exist_ok=True)
    client = folder / name
    client.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/words\ncat -- $3 > {folder}/given\n'
    )
    client.chmod(0o755)
    return folder


def test_the_cron_job(owner: Machine, tmp_path: Path) -> None:
    """The manifest's own command makes the Secret that kubectl is given (a stand-in for it)."""
    (manifest,) = _blocks("yaml", "CronJob")
    job = yaml.safe_load(manifest)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    clients = _client(tmp_path / "clients", "kubectl")
    (script,) = container["args"]
    script = script.replace("/tmp/secret", f"{tmp_path}/secret")
    environ = _finding_us(owner.environ)
    environ["PATH"] = f"{clients}:{environ['PATH']}"
    subprocess.run([*container["command"], script], env=environ, check=True)
    assert (clients / "words").read_text().split() == ["apply", "-f", f"{tmp_path}/secret"]
    secret = yaml.safe_load((clients / "given").read_text())
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "codex-auth")
    assert _is_access_alone(b64decode(secret["data"]["auth.json"]))


def test_the_secret_of_a_ci(owner: Machine, tmp_path: Path) -> None:
    """What the owner sets, the job's lines make an auth.json of, and Codex is signed in by it."""
    (setting,), (using,) = _blocks("sh", "gh secret"), _blocks("sh", "printenv CODEX_AUTH")
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "gh").write_text(f"#!/bin/sh\ncat > {clients}/secret\n")
    (clients / "gh").chmod(0o755)
    environ = _finding_us(owner.environ)
    environ["PATH"] = f"{clients}:{environ['PATH']}"
    subprocess.run(["sh", "-euc", setting], env=environ, check=True)
    secret = (clients / "secret").read_text().strip()
    home = tmp_path / "job"
    more = {"CODEX_AUTH": secret, "CODEX_HOME": str(home)}
    subprocess.run(["sh", "-euc", using], env=environ | more, check=True)
    assert _is_access_alone((home / "auth.json").read_bytes())
    assert run_codex(NEWEST, "login", "status", codex_home=home)[0] == 0
