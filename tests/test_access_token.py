"""`login --with-access-token`, beside the real Codex's, at OpenAI's own addresses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import responses

from headless_login.errors import HeadlessLoginError
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import CODEX
from headless_login.practice.issuer import PERSONAL_ACCESS_TOKEN, Person
from tests.support.codex import NEWEST
from tests.support.machine import has_mode
from tests.support.openai import Hosts, openai_hosts
from tests.support.own_etc import OwnEtc, own_etc
from tests.support.program import COMMAND, Terminal, environment, run
from tests.support.stored_files import OLD, jwt

WHOAMI = "https://auth.openai.com/api/accounts/v1/user-auth-credential/whoami"
ARGUMENTS = ("login", "--with-access-token")
NOW = int(time.time())
AGENT: dict[str, Any] = {
    "iss": "https://chatgpt.com/codex-backend/agent-identity",
    "aud": "codex-app-server",
    "iat": NOW,
    "exp": NOW + 3600,
    "agent_runtime_id": "runtime-1",
    "agent_private_key": "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    "account_id": Person().account_id,
    "chatgpt_user_id": "user-practice",
    "plan_type": "plus",
    "chatgpt_account_is_fedramp": False,
    "email": "agent@example.com",
}


class Beside(NamedTuple):
    """A machine that has both programs, and OpenAI's hosts."""

    machine: OwnEtc
    hosts: Hosts
    folder: Path

    def both(
        self, stdin: str, config: str = "", old: bytes | None = None
    ) -> tuple[tuple[int, str, bytes | None], tuple[int, str, bytes | None]]:
        """Run Codex's and ours; returns exit code, what was said and auth.json of each."""
        results = []
        for name in ("codex", "ours"):
            home = self.folder / name
            home.mkdir(exist_ok=True)
            (home / "config.toml").write_text(config)
            auth_file = home / "auth.json"
            auth_file.unlink(missing_ok=True)
            if old is not None:
                auth_file.write_bytes(old)
            if name == "codex":
                code, said = self.machine.codex(
                    NEWEST, *ARGUMENTS, codex_home=home, environ=self.hosts.environ, stdin=stdin
                )
            else:
                environ = environment(home, None) | self.hosts.environ
                code, said = self.machine.run([COMMAND, *ARGUMENTS], environ, stdin=stdin)
            stored = auth_file.read_bytes() if auth_file.exists() else None
            results.append((code, said, stored))
        return results[0], results[1]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("openai")
    with own_etc(folder) as machine, openai_hosts(machine, folder) as hosts:
        yield Beside(machine, hosts, folder)


@pytest.mark.parametrize("stdin", [PERSONAL_ACCESS_TOKEN, f" {PERSONAL_ACCESS_TOKEN}\r\n\n"])
def test_a_personal_token_is_stored_as_codex_stores_it(beside: Beside, stdin: str) -> None:
    """Asked about at the same address, byte for byte the same file, 0600; Codex is signed in."""
    codex, ours = beside.both(stdin)
    assert (codex[0], ours[0]) == (0, 0), ours
    assert codex[2] == ours[2] is not None
    auth_file = beside.folder / "ours" / "auth.json"
    assert has_mode(auth_file, 0o600)
    assert "ada@example.com" in ours[1]
    assert "at-pract***fghij" in ours[1]
    assert PERSONAL_ACCESS_TOKEN not in ours[1]
    said = beside.machine.codex(
        NEWEST, "login", "status", codex_home=auth_file.parent, environ=beside.hosts.environ
    )
    assert said[0] == 0
    assert "Logged in using personal access token" in said[1]


CHANGES: dict[str, dict[str, Any]] = {
    "good": {},
    "an unknown plan": {"plan_type": "weird"},
    "no e-mail address": {"email": None},
    "just expired": {"exp": NOW - 1},
    "issued later": {"iat": NOW + 5000},
    **{f"without {name}": {name: ...} for name in AGENT if name not in ("iss", "email")},
    "another audience": {"aud": "x"},
    "two audiences": {"aud": ["codex-app-server", "x"]},
    "another issuer": {"iss": "https://elsewhere.example"},
    "expired": {"exp": NOW - 1000},
    "a text for a truth": {"chatgpt_account_is_fedramp": "no"},
    "a number for an address": {"email": 7},
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_agent_identity_is_judged_as_codex_judges_it(beside: Beside, case: str) -> None:
    """What Codex takes is stored as Codex stores it; what it refuses leaves the old file."""
    claims = {n: v for n, v in (AGENT | CHANGES[case]).items() if v is not ...}
    codex, ours = beside.both(beside.hosts.sign(claims), old=OLD)
    assert (codex[0] == 0) is (ours[0] == 0), (codex, ours)
    assert ours[2] == (codex[2] if codex[0] == 0 else OLD)


def test_a_private_key_that_codex_could_not_use(beside: Beside) -> None:
    """Codex takes it, and then says for ever that it is not signed in; we refuse it at once."""
    codex, ours = beside.both(beside.hosts.sign(AGENT | {"agent_private_key": "zz"}), old=OLD)
    assert (codex[0], ours[0], ours[2]) == (0, 3, OLD)
    assert "private key" in ours[1]


OTHERS: dict[str, tuple[str, int, str]] = {
    "nothing": ("", 2, "No access token"),
    "two words": ("at-a at-b", 2, "several lines or words"),
    "a key": ("sk-proj-0123456789", 2, "That is an API key"),
    "upper case": ("AT-0123456789", 2, "not an access token of Codex"),
    "of a sign-in": (jwt({"iss": "https://auth.openai.com"}), 2, "of a ChatGPT sign-in"),
    "forged": (jwt(AGENT), 3, "not signed by its issuer"),
    "unknown": ("at-unknown", 3, "does not accept this access token (HTTP 401"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_codex_refuses_is_refused(beside: Beside, case: str) -> None:
    """With a reason, the right exit code, and the old sign-in as it was."""
    stdin, exit_code, phrase = OTHERS[case]
    codex, ours = beside.both(stdin, old=OLD)
    assert codex[0] == 1
    assert (ours[0], ours[2]) == (exit_code, OLD)
    assert phrase in ours[1]
    assert "Traceback" not in ours[1]


@pytest.mark.parametrize(
    ("config", "exit_code"),
    [
        ('forced_login_method = "api"', 3),
        ('forced_login_method = "chatgpt"', 0),
        (f'forced_chatgpt_workspace_id = "{Person().account_id}"', 0),
        ('forced_chatgpt_workspace_id = "x"', 3),
        ('cli_auth_credentials_store = "ephemeral"', 6),
    ],
)
def test_rules_hold_for_tokens(beside: Beside, config: str, exit_code: int) -> None:
    """A token is of the way ChatGPT, and its workspace is the one that OpenAI names."""
    codex, ours = beside.both(PERSONAL_ACCESS_TOKEN, config, OLD)
    assert ours[0] == exit_code, ours
    assert (codex[0] == 0) is (exit_code in (0, 6))  # an ephemeral one is gone at once
    assert ours[2] == (codex[2] if exit_code == 0 else OLD)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 403}, "access_denied"),
        ({"status": 500}, "issuer_unreachable"),
        ({"status": 429, "body": "<html>"}, "challenge_page"),
        ({"status": 307}, "token_response_invalid"),
        ({"body": "<html>"}, "token_response_invalid"),
        ({"json": {"chatgpt_user_id": "u"}}, "token_response_invalid"),
        ({"body": requests.ConnectionError("at-secret")}, "issuer_unreachable"),
    ],
)
@responses.activate
def test_what_goes_wrong_at_openai(answer: dict[str, Any], error: str) -> None:
    """Each with its own word, and never with the token in it."""
    responses.get(WHOAMI, **answer)
    with pytest.raises(HeadlessLoginError) as caught:
        IssuerClient(CODEX, environ={}).personal_access_token_metadata("at-secret")
    assert caught.value.error == error
    assert "at-secret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_person_is_asked_without_echo(environ: dict[str, str], codex_home: Path) -> None:
    """On a terminal the token is asked for, and nothing of it is shown."""
    with Terminal(*ARGUMENTS, environ=environ) as terminal:
        terminal.read_until("Paste the access token")
        terminal.send(f"{PERSONAL_ACCESS_TOKEN}\r")
        assert terminal.wait() == 0
        assert PERSONAL_ACCESS_TOKEN not in terminal.text
    stored = json.loads((codex_home / "auth.json").read_text())
    assert stored == {"OPENAI_API_KEY": None, "personal_access_token": PERSONAL_ACCESS_TOKEN}


def test_programs_are_told(environ: dict[str, str]) -> None:
    """The event names the person; nothing on either stream holds the token."""
    outcome = run(*ARGUMENTS, "--json", environ=environ, stdin=PERSONAL_ACCESS_TOKEN)
    event = json.loads(outcome.out)
    expected = {"event": "signed_in", "email": "ada@example.com", "plan": "plus"}
    assert event | expected == event
    assert PERSONAL_ACCESS_TOKEN not in outcome.out + outcome.err
