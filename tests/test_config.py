"""The keys of config.toml that concern a sign-in, and files that are not what they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headless_login.codex.home import CodexHome
from headless_login.codex.rules import Rules
from headless_login.errors import LocalTrouble, SignInRefused
from tests.support.machine import NOBODY, as_user, public_folder, within


def _read(folder: Path, content: str | bytes) -> Rules:
    encoded = content.encode() if isinstance(content, str) else content
    (folder / "config.toml").write_bytes(encoded)
    return Rules.read(CodexHome(str(folder)))


def test_without_a_file_nothing_is_demanded(codex_home: Path) -> None:
    """No config.toml, no folder: Codex's defaults."""
    assert Rules.read(CodexHome(str(codex_home))) == Rules("file", None, ())
    assert Rules.read(CodexHome(str(codex_home / "missing"))) == Rules("file", None, ())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", Rules()),
        ('model = "gpt-5"\n[tools]\nx = 1', Rules()),
        ('cli_auth_credentials_store = "keyring"', Rules("keyring")),
        ('forced_login_method = "api"', Rules("file", "api")),
        ('forced_chatgpt_workspace_id = "a"', Rules("file", None, ("a",))),
        ('forced_chatgpt_workspace_id = [" a ", "b"]', Rules("file", None, ("a", "b"))),
        ("forced_chatgpt_workspace_id = []", Rules()),
        ('forced_chatgpt_workspace_id = ""', Rules()),
        ('[profiles.x]\nforced_login_method = "api"', Rules()),
        (b'\xef\xbb\xbfforced_login_method = "api"', Rules("file", "api")),
        ('forced_login_method = "api"\r\n', Rules("file", "api")),
    ],
)
def test_what_is_read(content: str | bytes, expected: Rules, codex_home: Path) -> None:
    """A text or a list of them, at the top level only; everything else is Codex's business."""
    assert _read(codex_home, content) == expected


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("forced_login_method = ", "not valid TOML"),
        (b'x = "\xff"', "not valid TOML"),
        (b"\xff\xfex\x00", "not valid TOML"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("# " + "x" * 5_000_000, "far too long"),
        ("forced_chatgpt_workspace_id = 7", "forced_chatgpt_workspace_id has a value of the wrong"),
        ('forced_chatgpt_workspace_id = ["a", 7]', "forced_chatgpt_workspace_id has a value"),
        ("forced_chatgpt_workspace_id = {a = 1}", "forced_chatgpt_workspace_id has a value"),
        ("forced_login_method = true", "forced_login_method has a value of the wrong type"),
        ("cli_auth_credentials_store = 1", "cli_auth_credentials_store has a value"),
    ],
)
def test_what_is_not_understood_is_refused(
    content: str | bytes, phrase: str, codex_home: Path
) -> None:
    """A restriction must not be overlooked because it is written wrongly."""
    with pytest.raises(LocalTrouble, match=phrase) as caught:
        _read(codex_home, content)
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    assert str(codex_home / "config.toml") in caught.value.message


def test_what_is_no_file_is_refused_without_hanging(codex_home: Path) -> None:
    """A pipe in its place is not waited for; a folder is one."""
    path = codex_home / "config.toml"
    os.mkfifo(path)
    with pytest.raises(LocalTrouble, match="not a regular file"):
        within(5, lambda: Rules.read(CodexHome(str(codex_home))))
    path.unlink()
    path.mkdir()
    with pytest.raises(LocalTrouble, match="it is a folder"):
        Rules.read(CodexHome(str(codex_home)))


def test_a_file_that_may_not_be_read_is_refused() -> None:
    """Nobody knows then whether it restricts anything."""
    with public_folder() as folder:
        (folder / "config.toml").write_text('forced_login_method = "api"')
        (folder / "config.toml").chmod(0)
        said = as_user(NOBODY, lambda: Rules.read(CodexHome(str(folder))))
    assert said.startswith("LocalTrouble: ")
    assert "Permission denied" in said


@pytest.mark.parametrize(
    ("forced", "method", "way_out"),
    [
        ("api", "chatgpt", "headless-login login --with-api-key"),
        ("chatgpt", "api", "headless-login login`"),
        ("carrier-pigeon", "api", "headless-login login`"),
    ],
)
def test_the_other_method_is_refused(forced: str, method: str, way_out: str) -> None:
    """With the command that is allowed; an unknown method allows neither."""
    with pytest.raises(SignInRefused, match=f'forced_login_method = "{forced}"') as caught:
        Rules(forced_login_method=forced).check_method(method)
    assert (caught.value.error, caught.value.exit_code) == ("login_method_not_allowed", 3)
    assert way_out in caught.value.hint


@pytest.mark.parametrize("forced", [None, "api"])
def test_the_forced_method_is_allowed(forced: str | None) -> None:
    """Nothing forced allows everything."""
    Rules(forced_login_method=forced).check_method("api")


@pytest.mark.parametrize("account", ["b", "", None])
def test_another_workspace_is_refused(account: str | None) -> None:
    """One of the list, or none at all: exact comparison, and no account is not enough."""
    config = Rules(forced_workspace_ids=("a", "B"))
    config.check_workspace("a")
    with pytest.raises(SignInRefused) as caught:
        config.check_workspace(account)
    assert (caught.value.error, caught.value.exit_code) == ("workspace_not_allowed", 3)


def test_any_workspace_is_allowed_where_none_is_forced() -> None:
    """Without the key nothing is compared."""
    Rules().check_workspace(None)


@pytest.mark.parametrize("store", ["keyring", "auto", "ephemeral", "of a later version"])
def test_another_store_is_warned_about(store: str) -> None:
    """Codex may not look at auth.json then; the exact setting is named."""
    warning = Rules(credential_store=store).store_warning
    assert f'"{store}"' in warning
    assert "-c cli_auth_credentials_store=file" in warning
    assert Rules().store_warning == ""


def test_a_config_file_writes_nothing_to_the_terminal(codex_home: Path) -> None:
    """Escape sequences in its texts do not get onto the screen."""
    config = _read(
        codex_home,
        'cli_auth_credentials_store = "a\\u001b[2J"\nforced_login_method = "b\\u001b[2J\\n"',
    )
    with pytest.raises(SignInRefused) as caught:
        config.check_method("api")
    assert "\x1b" not in config.store_warning + caught.value.message
