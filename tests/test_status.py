"""`login status`: true sentences and exit codes for people, one JSON object for programs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.commands.status import report_status
from headless_login.errors import LocalTrouble
from tests.support.machine import umask
from tests.support.program import environment, run
from tests.support.stored_files import (
    ACCESS_CLAIMS,
    ACCESS_EXPIRES,
    AUTH,
    KEY,
    NOW,
    chatgpt,
    document,
    jwt,
    with_tokens,
)


@pytest.fixture
def home(codex_home: Path) -> CodexHome:
    """An empty Codex folder."""
    return CodexHome(str(codex_home))


def _write(home: CodexHome, content: object) -> None:
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    with umask(0o077):
        Path(home.auth_file).write_bytes(encoded)


def _text(home: CodexHome, content: object, now: float = NOW) -> tuple[list[str], int]:
    _write(home, content)
    text, exit_code = report_status(home, {}, now, as_json=False)
    return text.split("\n"), exit_code


def _json(
    home: CodexHome, content: object, now: float = NOW, environ: Mapping[str, str] | None = None
) -> dict[str, object]:
    _write(home, content)
    text, exit_code = report_status(home, environ or {}, now, as_json=True)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    assert exit_code == (0 if found["signed_in"] else 1)
    return found


# What people read.


def test_signed_in_with_chatgpt(home: CodexHome) -> None:
    """As whom, on which plan, until when, and where it is kept."""
    assert _text(home, chatgpt().content) == (
        [
            "Signed in with ChatGPT as ada@example.com (plus plan)",
            "Access token valid until 2026-12-03 05:49 UTC; refresh token present, unchecked",
            f"Kept in {home.auth_file}",
        ],
        0,
    )


def test_signed_in_with_a_key(home: CodexHome) -> None:
    """The key is masked: its first 8 and last 5 characters."""
    assert _text(home, Credentials.api_key(KEY).content) == (
        ["Signed in with the API key sk-proj-***fghij", f"Kept in {home.auth_file}"],
        0,
    )


def test_an_expired_access_token_is_no_end(home: CodexHome) -> None:
    """With a refresh token Codex goes on, so that it is still a sign-in."""
    lines, exit_code = _text(home, chatgpt().content, ACCESS_EXPIRES + 1)
    assert exit_code == 0
    assert lines[0] == "Signed in with ChatGPT as ada@example.com (plus plan)"
    assert lines[1].startswith("Access token expired 2026-12-03 05:49 UTC; refresh token present")


def test_an_expired_access_token_without_another(home: CodexHome) -> None:
    """Nothing can be done with it any more: exit 1, and who it was."""
    lines, exit_code = _text(home, with_tokens(refresh_token=""), ACCESS_EXPIRES)
    assert exit_code == 1
    assert lines[0].startswith("Not signed in any more, but it was with ChatGPT as ada@example.com")
    assert lines[1].startswith("Access token expired 2026-12-03 05:49 UTC; no refresh token")
    assert lines[3].startswith("Warning: there is no refresh token")


def test_an_opaque_access_token(home: CodexHome) -> None:
    """Its end cannot be told, so none is told."""
    lines, exit_code = _text(home, with_tokens(access_token="opaque"))
    assert exit_code == 0
    assert lines[1].startswith("Access token without a readable expiry; refresh token present")


def test_a_mode_of_a_later_version(home: CodexHome) -> None:
    """It is some sign-in, and more is not known about it."""
    lines, exit_code = _text(home, {"auth_mode": "agentIdentity"})
    assert exit_code == 0
    assert lines[0] == "Signed in, in a mode this version does not know: agentIdentity"


@pytest.mark.parametrize("content", [None, {}, {"auth_mode": "chatgpt"}, {"auth_mode": "apikey"}])
def test_not_signed_in(content: object, home: CodexHome) -> None:
    """No file, or one with nothing in it that Codex could use; and where that is."""
    if content is not None:
        _write(home, content)
    text, exit_code = report_status(home, {}, NOW, as_json=False)
    assert text.startswith(f"Not signed in: there is no sign-in in {home.auth_file}")
    assert exit_code == 1


def test_hostile_texts_stay_on_their_line(home: CodexHome) -> None:
    """What a file says cannot move the cursor, begin a line, or pass as a sentence of ours."""
    evil = "a\x1b[2J\n\u202eSigned in\r\ud800"
    claims = {"email": evil, AUTH: {"chatgpt_plan_type": evil}}
    for content, count in [
        (with_tokens(id_token=jwt(claims)), 3),
        ({"auth_mode": evil}, 2),
        ({"OPENAI_API_KEY": evil * 5}, 2),
    ]:
        lines, _ = _text(home, content)
        assert len(lines) == count
        assert all(line.isprintable() for line in lines)


def test_no_secret_is_shown(home: CodexHome) -> None:
    """Neither output has a token in it, nor the key."""
    for content in (chatgpt().content, Credentials.api_key(KEY).content):
        shown = "\n".join(_text(home, content)[0]) + json.dumps(_json(home, content))
        assert "MARKED" not in shown


# What programs read.


def test_json_of_a_chatgpt_sign_in(home: CodexHome) -> None:
    """Every field of the contract, times in ISO 8601."""
    assert _json(home, chatgpt().content) == {
        "signed_in": True,
        "mode": "chatgpt",
        "email": "ada@example.com",
        "account_id": "acc-1",
        "plan": "plus",
        "access_token_expires_at": "2026-12-03T05:49:32+00:00",
        "refresh_token": "present",
        "auth_file": home.auth_file,
        "credential_store": "file",
        "warnings": [],
    }


def test_json_of_an_api_key(home: CodexHome) -> None:
    """The same fields; a key names nobody and does not end, whatever stands beside it."""
    left_over = document(auth_mode=..., OPENAI_API_KEY=KEY)
    for content in (Credentials.api_key(KEY).content, left_over):
        found = _json(home, content, ACCESS_EXPIRES + 1)
        assert found == {
            "signed_in": True,
            "mode": "apikey",
            "email": None,
            "account_id": None,
            "plan": None,
            "access_token_expires_at": None,
            "refresh_token": "absent",
            "auth_file": home.auth_file,
            "credential_store": "file",
            "warnings": [],
        }


def test_json_without_a_sign_in(home: CodexHome) -> None:
    """The same fields, and exit 1."""
    text, exit_code = report_status(home, {}, NOW, as_json=True)
    found = json.loads(text)
    assert (found["signed_in"], found["mode"], found["refresh_token"]) == (False, None, "absent")
    assert set(found) == set(_json(home, chatgpt().content))
    assert exit_code == 1


def test_unusable_files_are_never_reported(home: CodexHome) -> None:
    """They are trouble (6), for people and for programs."""
    for content in (b"", b"[]", b"{", document(last_refresh="")):
        for as_json in (True, False):
            _write(home, content)
            with pytest.raises(LocalTrouble):
                report_status(home, {}, NOW, as_json=as_json)


# Warnings.


@pytest.mark.parametrize("name", ["CODEX_API_KEY", "CODEX_ACCESS_TOKEN"])
def test_variables_that_codex_prefers(name: str, home: CodexHome) -> None:
    """They are warned about by name, not by value; a blank one does not count."""
    content = chatgpt().content
    (warning,) = _warnings(_json(home, content, environ={name: "MARKED"}))
    assert name in warning
    assert "MARKED" not in warning
    assert _warnings(_json(home, content, environ={name: " "})) == []


def _warnings(found: dict[str, object]) -> list[str]:
    warnings = found["warnings"]
    assert isinstance(warnings, list)
    return warnings


def test_a_clock_that_is_wrong(home: CodexHome) -> None:
    """Tokens from the future: five minutes are tolerated."""
    issued = ACCESS_CLAIMS["iat"]
    assert _warnings(_json(home, chatgpt().content, issued - 300)) == []
    (warning,) = _warnings(_json(home, chatgpt().content, issued - 301))
    assert "clock" in warning


def test_a_file_that_others_can_read(home: CodexHome) -> None:
    """With the command that mends it; status itself changes nothing."""
    _write(home, chatgpt().content)
    Path(home.auth_file).chmod(0o644)
    text, _ = report_status(home, {}, NOW, as_json=False)
    assert "Warning: other users can read auth.json; run: chmod 600" in text
    assert stat.S_IMODE(os.stat(home.auth_file).st_mode) == 0o644


def test_another_credential_store(home: CodexHome) -> None:
    """Which one Codex looks at is told, and that this is the file."""
    Path(home.config_file).write_text('cli_auth_credentials_store = "keyring"')
    found = _json(home, chatgpt().content)
    assert found["credential_store"] == "keyring"
    assert "cli_auth_credentials_store" in _warnings(found)[0]


def test_a_broken_config_does_not_hide_the_sign_in(home: CodexHome) -> None:
    """It is a warning here: the sign-in can be told all the same."""
    Path(home.config_file).write_text("= broken")
    found = _json(home, chatgpt().content)
    assert found["signed_in"] is True
    assert "not valid TOML" in _warnings(found)[0]


# From outside.


def test_the_command_answers_on_standard_output(codex_home: Path) -> None:
    """Exit 0, 1 and 6; nothing is made in the folder, and standard error is quiet or one error."""
    environ = environment(codex_home, None)
    outcome = run("login", "status", environ=environ)
    assert (outcome.exit_code, outcome.err) == (1, "")
    assert outcome.out == f"Not signed in: there is no sign-in in {codex_home}/auth.json\n"
    assert not list(codex_home.iterdir())

    _write(CodexHome(str(codex_home)), Credentials.api_key(KEY).content)
    outcome = run("login", "status", "--json", environ=environ)
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["mode"] == "apikey"
    assert outcome.out.count("\n") == 1

    (codex_home / "auth.json").write_bytes(b"")
    outcome = run("login", "status", environ=environ)
    assert (outcome.exit_code, outcome.out) == (6, "")
    assert outcome.err.startswith(f"Error: {codex_home}/auth.json is empty.\n")


def test_a_pipe_does_not_hang_the_command(codex_home: Path) -> None:
    """auth.json and config.toml both being pipes that nobody writes to."""
    os.mkfifo(codex_home / "config.toml")
    outcome = run("login", "status", environ=environment(codex_home, None), timeout=10)
    assert outcome.exit_code == 1
    assert "config.toml cannot be read: it is not a regular file" in outcome.out
    os.mkfifo(codex_home / "auth.json")
    outcome = run("login", "status", environ=environment(codex_home, None), timeout=10)
    assert outcome.exit_code == 6


def test_a_folder_of_any_name(tmp_path: Path) -> None:
    """Blanks, a line break and bytes that are no UTF-8 in a path are no defect."""
    odd = os.fsencode(tmp_path) + b"/a b\n\xff"
    os.mkdir(odd)
    environ = environment(None, None, CODEX_HOME=os.fsdecode(odd))
    outcome = run("login", "status", environ=environ)
    assert (outcome.exit_code, outcome.err) == (1, "")
    assert outcome.out.endswith("/a b??/auth.json\n")
    outcome = run("login", "status", "--json", environ=environ)
    assert json.loads(outcome.out)["auth_file"] == os.fsdecode(odd) + "/auth.json"


# Loaded modules are printed at the end, whatever the command did.
WATCH = """
import sys
from headless_login.cli import main
main(sys.argv[1:])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {
    "asyncio",
    "authlib",
    "cryptography",
    "h11",
    "http",
    "joserfc",
    "prompt_toolkit",
    "pydantic",
    "qrcode",
    "requests",
    "rich",
    "ssl",
    "urllib3",
}


@pytest.mark.parametrize(
    "arguments",
    [["login", "status"], ["login", "status", "--json"], ["logout"], ["login", "--with-api-key"]],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(arguments: list[str], codex_home: Path) -> None:
    """Commands that need no network load nothing that could use it."""
    _write(CodexHome(str(codex_home)), chatgpt().content)
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments],
        input=f"{KEY}\n",
        env=environment(codex_home, None),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "headless_login" in loaded, done.stderr
    assert not loaded & HEAVY
