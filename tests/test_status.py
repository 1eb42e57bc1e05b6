"""`login status`: true sentences and exit codes for people, one JSON object for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headless_login.codex.home import CodexHome
from headless_login.commands.status import report_status
from headless_login.delivery.destination import CodexFolder
from headless_login.oauth.text import unset
from tests.support.machine import has_mode, posix_modes, posix_paths
from tests.support.program import Outcome, environment, run
from tests.support.stored_files import (
    ACCESS_CLAIMS,
    ACCESS_EXPIRES,
    AUTH,
    KEY,
    NEW,
    NOW,
    chatgpt,
    document,
    jwt,
    with_tokens,
    write,
)

CHATGPT = chatgpt().content


class Sight(NamedTuple):
    """What `status` looks at (None: no file), and when."""

    content: object = CHATGPT
    mode: int = 0o600
    config: str = ""
    environ: Mapping[str, str] = {}
    now: float = NOW

    def seen(self, home: CodexHome) -> tuple[list[str], dict[str, Any], int]:
        """Return what people read, what programs read, and the exit code; no secret is in it."""
        if self.content is not None:
            write(home, self.content, self.mode)
        Path(home.config_file).write_text(self.config)
        text, exit_code = report_status(home, self.environ, self.now, as_json=False)
        answer, same = report_status(home, self.environ, self.now, as_json=True)
        assert "MARKED" not in text + answer
        assert "\n" not in answer
        found: dict[str, Any] = json.loads(answer)
        assert exit_code == same == (0 if found["signed_in"] else 1)
        return text.split("\n"), found, exit_code


NO_REFRESH = Sight(with_tokens(refresh_token=""))

# What people read.

SIGNED_IN = "Signed in with ChatGPT as ada@example.com (plus plan)"
HOLDS = "It holds ChatGPT as ada@example.com (plus plan)"
ENDED = "Not signed in: the access token has ended, and nothing can renew it."
AGAIN = "Sign in again: headless-login login"
VALID = "Access token valid until 2026-12-03 05:49 UTC"
EXPIRED = "Access token expired 2026-12-03 05:49 UTC"
OPAQUE = "Access token without a readable expiry"
PRESENT, ABSENT = "refresh token present, unchecked", "no refresh token"
LATER = "Not signed in: auth.json is of a mode that Codex 0.169 does not know: mindReading."
AGENT = {"auth_mode": "agentIdentity", "agent_identity": jwt({"email": "a@b.c", "exp": 1e11})}
BEDROCK = {"auth_mode": "bedrockApiKey", "bedrock_api_key": {"api_key": "k", "region": "r"}}
PERSONAL = {"OPENAI_API_KEY": None, "personal_access_token": "at-MARKED0123456789abcdefghij"}
EXTERNAL = with_tokens() | {"auth_mode": "chatgptAuthTokens"}


@pytest.mark.parametrize(
    ("sight", "expected", "said"),
    [
        (Sight(), 0, [SIGNED_IN, f"{VALID}; {PRESENT}"]),
        # With a refresh token Codex goes on, so that it is still a sign-in.
        (Sight(now=ACCESS_EXPIRES + 1), 0, [SIGNED_IN, f"{EXPIRED}; {PRESENT}"]),
        (NO_REFRESH, 0, [SIGNED_IN, f"{VALID}; {ABSENT}"]),
        (NO_REFRESH._replace(now=ACCESS_EXPIRES), 1, [ENDED, AGAIN, HOLDS, f"{EXPIRED}; {ABSENT}"]),
        (Sight(EXTERNAL, now=ACCESS_EXPIRES), 1, [ENDED, AGAIN, HOLDS]),
        (Sight(with_tokens(access_token="opaque")), 0, [SIGNED_IN, f"{OPAQUE}; {PRESENT}"]),
        (Sight(NEW.content), 0, ["Signed in with the API key sk-proj-***fghij"]),
        (Sight(AGENT), 0, ["Signed in with an agent identity (unchecked) of a@b.c"]),
        (Sight(BEDROCK), 0, ["Signed in with Amazon Bedrock keys"]),
        (
            Sight(PERSONAL),
            *(0, ["Signed in with the personal access token at-MARKE***fghij (unchecked)"]),
        ),
        (Sight({"auth_mode": "mindReading"}), 1, [LATER]),
    ],
)
def test_as_whom_and_until_when(
    sight: Sight, expected: int, said: list[str], home: CodexHome
) -> None:
    """As far as it is known, and where it is kept."""
    lines, _, exit_code = sight.seen(home)
    assert lines[: len(said)] == said
    assert f"Kept in {home.auth_file}" in lines
    assert exit_code == expected


@pytest.mark.parametrize("content", [None, {}, {"auth_mode": "chatgpt"}, {"auth_mode": "apikey"}])
def test_not_signed_in(content: object, home: CodexHome) -> None:
    """No file, or one with nothing in it that Codex could use; and where that is."""
    lines, _, exit_code = Sight(content).seen(home)
    assert lines == [
        f"Not signed in: there is no sign-in in {home.auth_file}",
        "Sign in: headless-login login",
    ]
    assert exit_code == 1


EVIL = "a\x1b[2J\n\u202eSigned in\r"


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (with_tokens(id_token=jwt({"email": EVIL, AUTH: {"chatgpt_plan_type": EVIL}})), 3),
        ({"auth_mode": f"{EVIL}\ud800"}, 4),
        ({"OPENAI_API_KEY": EVIL * 5}, 2),
    ],
)
def test_hostile_texts_stay_on_their_line(content: object, count: int, home: CodexHome) -> None:
    """What a file says cannot move the cursor, begin a line, or pass as a sentence of ours."""
    lines, _, _ = Sight(content).seen(home)
    assert len(lines) == count
    assert all(line.isprintable() for line in lines)


# What programs read.

FIELDS: dict[str, object] = {
    "signed_in": True,
    "reason": None,
    "mode": "chatgpt",
    "email": "ada@example.com",
    "account_id": "acc-1",
    "plan": "plus",
    "access_token_expires_at": "2026-12-03T05:49:32+00:00",
    "refresh_token": "present",
    "credential_store": "file",
    "warnings": [],
}
UNNAMED = dict.fromkeys(["email", "account_id", "plan", "access_token_expires_at"])
KEY_FIELDS = {"mode": "apikey", "refresh_token": "absent", **UNNAMED}


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (CHATGPT, {}),
        # A key names nobody and does not end, whatever stands beside it.
        (NEW.content, KEY_FIELDS),
        (document(auth_mode=..., OPENAI_API_KEY=KEY), KEY_FIELDS),
        (None, KEY_FIELDS | {"mode": None, "signed_in": False, "reason": "no_file"}),
    ],
    ids=["tokens", "key", "key without a mode", "no file"],
)
def test_the_fields_of_the_contract(
    content: object, changes: dict[str, object], home: CodexHome
) -> None:
    """All of them in every mode, times in ISO 8601."""
    _, found, _ = Sight(content, now=ACCESS_EXPIRES + 1).seen(home)
    assert found == FIELDS | {"auth_file": home.auth_file} | changes


# Warnings.

ISSUED = ACCESS_CLAIMS["iat"]


@pytest.mark.parametrize(
    ("sight", "phrase"),
    [
        (Sight(), ""),
        # By name, not by value; a blank one does not count.
        (Sight(environ={"CODEX_API_KEY": "MARKED"}), "CODEX_API_KEY is set"),
        (Sight(environ={"CODEX_API_KEY": " "}), ""),
        # Tokens from the future: five minutes are tolerated.
        (Sight(now=ISSUED - 300), ""),
        (Sight(now=ISSUED - 301), "is this machine's clock right?"),
        # With the command that changes it; status itself changes nothing.
        pytest.param(
            Sight(mode=0o644),
            "other users can read auth.json; run: chmod 600",
            marks=posix_modes,
        ),
        (NO_REFRESH, "there is no refresh token"),
        (Sight(with_tokens(account_id=None)), "Codex cannot renew the access token"),
    ],
)
def test_warnings(sight: Sight, phrase: str, home: CodexHome) -> None:
    """What is odd about a sign-in is told to people and to programs; it is one all the same."""
    lines, found, exit_code = sight.seen(home)
    warnings = found["warnings"]
    assert [phrase in warning for warning in warnings] == ([True] if phrase else [])
    assert lines[3:] == [f"Warning: {warning}" for warning in warnings]
    assert exit_code == 0
    assert has_mode(home.auth_file, sight.mode)


# Reasons; test_agreement.py has Codex beside them.

KEYRING = 'cli_auth_credentials_store = "keyring"'


@pytest.mark.parametrize(
    ("sight", "reason", "phrase"),
    [
        (
            Sight(environ={"CODEX_ACCESS_TOKEN": "MARKED"}),
            "environment",
            unset("CODEX_ACCESS_TOKEN"),
        ),
        (Sight(environ={"OPENAI_IDENTITY_TOKEN_FILE": ""}), "environment", "workload identity"),
        (Sight(config='forced_login_method = "api"'), "policy", "removes auth.json when it starts"),
        (Sight(config='forced_chatgpt_workspace_id = "x"'), "policy", "of this sign-in (acc-1)"),
        (Sight(config="= broken"), "policy", "not valid TOML"),
        (Sight(config=KEYRING), "store", 'Set cli_auth_credentials_store = "file" in '),
        (Sight(None, config=KEYRING), "store", "Codex never reads auth.json"),
        (
            Sight(environ={"CODEX_ACCESS_TOKEN": "MARKED"}, config=KEYRING),
            *("environment", "CODEX_ACCESS_TOKEN is set"),
        ),
    ],
)
def test_the_first_reason_is_told(sight: Sight, reason: str, phrase: str, home: CodexHome) -> None:
    """Environment, policy, store, file: in this order, with what to do."""
    lines, found, exit_code = sight.seen(home)
    assert (exit_code, found["reason"], found["signed_in"]) == (1, reason, False)
    assert lines[0].startswith("Not signed in: ")
    assert phrase in " ".join(lines[:2])
    assert (f"Kept in {home.auth_file}" in lines) is (sight.content is not None)


# From outside.


def _status(home: CodexHome, *options: str) -> Outcome:
    return run("login", "status", *options, environ=environment(home.path, None))


def test_the_command_answers_on_standard_output(home: CodexHome) -> None:
    """Exit 0, 1 and 6; nothing is made in the folder, and standard error is quiet or one error."""
    said = f"Not signed in: there is no sign-in in {home.auth_file}\n"
    said += "Sign in: headless-login login\n"
    assert _status(home) == Outcome(1, said, "")
    assert not os.listdir(home.path)

    write(home, NEW.content)
    outcome = _status(home, "--json")
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["mode"] == "apikey"
    assert outcome.out.count("\n") == 1

    write(home, b"")
    outcome = _status(home)
    assert (outcome.exit_code, outcome.out) == (6, "")
    assert outcome.err.startswith(f"Error: {home.auth_file} is empty.\n")
    assert _status(home, "--json").exit_code == 6


def test_a_pipe_does_not_hang_the_command(home: CodexHome) -> None:
    """auth.json and config.toml both being pipes that nobody writes to."""
    os.mkfifo(home.config_file)
    outcome = _status(home)
    assert outcome.exit_code == 1
    assert "config.toml cannot be used: it is not a regular file" in outcome.out
    os.mkfifo(home.auth_file)
    assert _status(home).exit_code == 6


@posix_paths
def test_a_folder_of_any_name(tmp_path: Path) -> None:
    """Blanks, a line break and bytes that are no UTF-8 in a path are no defect."""
    home = CodexHome(os.fsdecode(os.fsencode(tmp_path) + b"/a b\n\xff"))
    os.mkdir(home.path)
    outcome = _status(home)
    assert (outcome.exit_code, outcome.err) == (1, "")
    assert outcome.out.splitlines()[0].endswith("/a b??/auth.json")
    assert json.loads(_status(home, "--json").out)["auth_file"] == home.auth_file


# Loaded modules are printed at the end, whatever the command did.
WATCH = """
import sys
from headless_login.cli import main
main(sys.argv[1:])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {
    *("asyncio", "authlib", "cryptography", "h11", "http", "joserfc", "prompt_toolkit"),
    *("pydantic", "qrcode", "requests", "rich", "ssl", "urllib3"),
}


@pytest.mark.parametrize(
    "arguments",
    [
        *(["login", "status"], ["login", "status", "--json"], ["login", "--with-api-key"]),
        *(["logout"], ["logout", "--all"], ["accounts"], ["accounts", "use", "-"]),
        *(["accounts", "remove", "sk-"], ["token"]),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(arguments: list[str], home: CodexHome) -> None:
    """Commands that need no network load nothing that could use it."""
    CodexFolder(home, {}).store(NEW)
    CodexFolder(home, {}).store(chatgpt())
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments],
        input=f"{KEY}\n",
        env=environment(home.path, None),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "headless_login" in loaded, done.stderr
    assert not loaded & HEAVY
