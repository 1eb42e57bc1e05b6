"""What a sign-in says before and after is true: the real Codex beside it says the same.

At OpenAI's own addresses, on a machine with its own /etc/codex.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from headless_login.practice.issuer import PERSONAL_ACCESS_TOKEN, Person
from tests.support.codex import NEWEST, codex_environment, require_codex
from tests.support.openai import Hosts, openai_hosts
from tests.support.own_etc import OwnEtc, own_etc
from tests.support.program import COMMAND, environment
from tests.support.stored_files import KEY, OLD

ACCOUNT = Person().account_id
USED = "codex uses it from now on."


class Row(NamedTuple):
    """Policy files by name, config.toml, and variables; `more` is given to our command."""

    etc: Mapping[str, str] = {}
    config: str = ""
    environ: Mapping[str, str] = {}
    more: tuple[str, ...] = ()


def store(word: str) -> str:
    return f'cli_auth_credentials_store = "{word}"'


ROWS: dict[str, Row] = {
    "nothing special": Row(),
    "forced chatgpt": Row(config='forced_login_method = "chatgpt"'),
    "forced api": Row(config='forced_login_method = "api"'),
    "managed api": Row({"managed_config.toml": 'forced_login_method = "api"'}),
    "allowed api": Row({"requirements.toml": 'allowed_login_methods = ["api"]'}),
    "allowed chatgpt": Row({"requirements.toml": 'allowed_login_methods = ["chatgpt"]'}),
    "nothing allowed": Row({"requirements.toml": "allowed_login_methods = []"}),
    "no workspace": Row({"requirements.toml": "allowed_chatgpt_workspaces = []"}),
    "this workspace": Row(config=f'forced_chatgpt_workspace_id = "{ACCOUNT}"'),
    "another workspace": Row(config='forced_chatgpt_workspace_id = ["x", "y"]'),
    "intersected": Row(
        {"requirements.toml": f'allowed_chatgpt_workspaces = ["z", "{ACCOUNT}"]'},
        f'forced_chatgpt_workspace_id = ["{ACCOUNT}", "y"]',
    ),
    "broken policy": Row({"requirements.toml": "x = ["}),
    "broken config": Row(config="x = ["),
    "ephemeral": Row(config=store("ephemeral")),
    "keyring": Row({"managed_config.toml": store("keyring")}),
    "auto": Row(config=store("auto")),
    "ephemeral anyway": Row(config=store("ephemeral"), more=("--store-anyway",)),
    "token in the environment": Row(environ={"CODEX_ACCESS_TOKEN": "at-x"}),
    "workload identity": Row(environ={"OPENAI_FEDERATION_RULE_ID": "x"}),
    "all of them": Row(
        environ={
            "OPENAI_FEDERATION_RULE_ID": "x",
            "OPENAI_IDENTITY_TOKEN_FILE": "/nowhere",
            "CODEX_ACCESS_TOKEN": "at-x",
        }
    ),
    "key in the environment": Row(environ={"CODEX_API_KEY": "sk-x"}),
}
WAYS = {
    "chatgpt": ("login", "start"),
    "--with-api-key": ("login", "--with-api-key"),
    "--with-access-token": ("login", "--with-access-token"),
}
SECRETS = {"--with-api-key": KEY, "--with-access-token": PERSONAL_ACCESS_TOKEN}


class Beside(NamedTuple):
    """A machine that has both programs, and OpenAI's hosts."""

    machine: OwnEtc
    hosts: Hosts

    def set_up(self, row: Row, home: Path, *, signed_in: bool) -> None:
        """Write what a row says, and an old sign-in."""
        self.machine.set_policy(row.etc)
        (home / "config.toml").write_text(row.config)
        (home / "auth.json").unlink(missing_ok=True)
        if signed_in:
            (home / "auth.json").write_bytes(OLD)

    def ours(
        self, home: Path, environ: Mapping[str, str], *arguments: str, stdin: str = ""
    ) -> tuple[int, str]:
        environ = environment(home, None) | self.hosts.environ | dict(environ)
        return self.machine.run([COMMAND, *arguments], environ, stdin=stdin)

    def codex_status(self, home: Path, environ: Mapping[str, str]) -> tuple[int, str]:
        environ = self.hosts.environ | dict(environ)
        return self.machine.codex(NEWEST, "login", "status", codex_home=home, environ=environ)

    def codex_login(
        self, home: Path, environ: Mapping[str, str], *arguments: str, approve: bool = True
    ) -> str:
        """Sign in by Codex; returns what it says, without `approve` until it shows an address."""
        environ = codex_environment(home, self.machine.folder) | self.hosts.environ | dict(environ)
        command = [str(require_codex(NEWEST)), "login", *arguments]
        with self.machine.started(command, environ) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(SECRETS.get("".join(arguments), ""))
            process.stdin.close()
            said = ""
            for line in process.stdout:
                said += line
                if url := AUTHORIZE_URL.search(line):
                    if not approve:
                        break
                    visit = [sys.executable, "-c", VISIT, self.hosts.approve(url[0])]
                    self.machine.run(visit, os.environ)
            return said


VISIT = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1])"
AUTHORIZE_URL = re.compile(r"https://auth\.openai\.com/oauth/authorize\S+")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("openai")
    with own_etc(folder) as machine, openai_hosts(machine, folder) as hosts:
        yield Beside(machine, hosts)


def _sign_in(beside: Beside, row: Row, home: Path, way: str) -> tuple[int, str]:
    """Sign in by our command; returns its exit code and all that was said."""
    if way != "chatgpt":
        arguments = (*WAYS[way], *row.more)
        return beside.ours(home, row.environ, *arguments, stdin=SECRETS[way])
    exit_code, begun = beside.ours(home, row.environ, *WAYS[way], *row.more)
    if exit_code:
        return exit_code, begun
    url = AUTHORIZE_URL.search(begun)
    assert url
    answer = beside.hosts.approve(url[0])
    finish = ("login", "finish", "-", *row.more)
    exit_code, said = beside.ours(home, row.environ, *finish, stdin=answer)
    return exit_code, begun + said


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("way", WAYS)
def test_a_success_is_one_for_codex(way: str, name: str, beside: Beside, codex_home: Path) -> None:
    """After exit 0 Codex is signed in, at once or after the step that was named; else nothing is
    written, and Codex would have refused as well."""
    row = ROWS[name]
    beside.set_up(row, codex_home, signed_in=True)
    exit_code, said = _sign_in(beside, row, codex_home, way)
    status, codex = beside.codex_status(codex_home, row.environ)
    if exit_code == 0 and (steps := re.search(r"before codex uses it: (.*)", said)):
        assert status != 0, codex
        _take(steps[1], row, codex_home)
        environ = {n: v for n, v in row.environ.items() if n not in steps[1].split()}
        assert beside.codex_status(codex_home, environ)[0] == 0
    elif exit_code == 0:
        assert status == 0, (said, codex)
    else:
        assert exit_code in (3, 6), said
        assert (codex_home / "auth.json").read_bytes() == OLD
        assert not _codex_takes(beside, row, codex_home, way), said


def _take(step: str, row: Row, home: Path) -> None:
    """Do what the last line asks for in a file."""
    if "cli_auth_credentials_store" in step:
        (home / "config.toml").write_text(row.config.replace("ephemeral", "file"))


def _codex_takes(beside: Beside, row: Row, home: Path, way: str) -> bool:
    """Return whether Codex signs in by the same way, and is signed in afterwards."""
    beside.codex_login(home, row.environ, *([] if way == "chatgpt" else [way]))
    auth_file = home / "auth.json"
    is_new = auth_file.exists() and auth_file.read_bytes() != OLD
    return is_new and beside.codex_status(home, row.environ)[0] == 0


@pytest.mark.parametrize("name", ["nothing special", "this workspace", "intersected"])
def test_the_address_is_codexs(name: str, beside: Beside, codex_home: Path) -> None:
    """The same parameters in the same order; only what is random differs."""
    row = ROWS[name]
    beside.set_up(row, codex_home, signed_in=False)
    urls = [
        beside.codex_login(codex_home, {}, approve=False),
        beside.ours(codex_home, {}, "login", "start")[1],
    ]
    queries = []
    for text in urls:
        url = AUTHORIZE_URL.search(text)
        assert url
        pairs = [pair.partition("=") for pair in url[0].partition("?")[2].split("&")]
        random = ("state", "code_challenge")
        queries.append([(n, None if n in random else v) for n, _, v in pairs])
    assert sorted(queries[0]) == sorted(queries[1])


def test_another_folder_is_named(beside: Beside, codex_home: Path, tmp_path: Path) -> None:
    """Signed in to where Codex does not look: the last line has the command, and it is right."""
    beside.set_up(Row(), codex_home, signed_in=False)
    other = tmp_path / "an other"
    exit_code, said = beside.ours(
        codex_home, {}, "login", "--with-api-key", "--codex-home", str(other), stdin=KEY
    )
    assert exit_code == 0
    (command,) = re.findall(r"before codex uses it: (export CODEX_HOME=.*)", said)
    assert beside.codex_status(codex_home, {})[0] == 1
    assert beside.codex_status(Path(shlex.split(command)[1].partition("=")[2]), {})[0] == 0


def test_an_account_without_an_id_is_signed_in(beside: Beside, codex_home: Path) -> None:
    """As by Codex, with null; the person hears that it cannot be renewed, and until when."""
    beside.set_up(Row(), codex_home, signed_in=False)
    with beside.hosts.account(""):
        exit_code, said = _sign_in(beside, Row(), codex_home, "chatgpt")
    assert exit_code == 0, said
    assert "Codex cannot renew a sign-in without an account id; it works until 20" in said
    stored = json.loads((codex_home / "auth.json").read_text())
    assert stored["tokens"]["account_id"] is None
    assert beside.codex_status(codex_home, {})[0] == 0
