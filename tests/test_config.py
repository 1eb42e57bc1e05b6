"""The keys of config.toml that concern a sign-in, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from headless_login.codex.home import CodexHome
from headless_login.codex.rules import Rules
from headless_login.errors import LocalTrouble, SignInRefused
from tests.support.machine import NOBODY, as_user, public_folder, within
from tests.support.stored_files import NO_FILES


def _read(home: CodexHome, content: str | bytes) -> Rules:
    Path(home.config_file).write_bytes(content.encode() if isinstance(content, str) else content)
    return Rules.read(home)


def test_without_a_file_nothing_is_demanded(home: CodexHome) -> None:
    """No config.toml, no folder: Codex's defaults."""
    assert Rules.read(home) == Rules("file", None, ())
    assert Rules.read(CodexHome(f"{home.path}/missing")) == Rules("file", None, ())


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
def test_what_is_read(content: str | bytes, expected: Rules, home: CodexHome) -> None:
    """A text or a list of them, at the top level only; everything else is Codex's business."""
    assert _read(home, content) == expected


WRONG_TYPE = "has a value of the wrong type"


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("forced_login_method = ", "not valid TOML"),
        (b'x = "\xff"', "not valid TOML"),
        (b"\xff\xfex\x00", "not valid TOML"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("# " + "x" * 5_000_000, "far too long"),
        ("forced_chatgpt_workspace_id = 7", f"forced_chatgpt_workspace_id {WRONG_TYPE}"),
        ('forced_chatgpt_workspace_id = ["a", 7]', f"forced_chatgpt_workspace_id {WRONG_TYPE}"),
        ("forced_chatgpt_workspace_id = {a = 1}", f"forced_chatgpt_workspace_id {WRONG_TYPE}"),
        ("forced_login_method = true", f"forced_login_method {WRONG_TYPE}"),
        ("cli_auth_credentials_store = 1", f"cli_auth_credentials_store {WRONG_TYPE}"),
    ],
)
def test_what_is_not_understood_is_refused(
    content: str | bytes, phrase: str, home: CodexHome
) -> None:
    """A restriction must not be overlooked because it is written wrongly."""
    with pytest.raises(LocalTrouble, match=phrase) as caught:
        _read(home, content)
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    assert home.config_file in caught.value.message


@pytest.mark.parametrize(
    ("case", "phrase"), [("a pipe", "not a regular file"), ("a folder", "it is a folder")]
)
def test_what_is_no_file_is_refused_without_hanging(
    case: str, phrase: str, home: CodexHome
) -> None:
    """A pipe in its place is not waited for."""
    NO_FILES[case](Path(home.config_file))
    with pytest.raises(LocalTrouble, match=phrase):
        within(5, lambda: Rules.read(home))


def test_a_file_that_may_not_be_read_is_refused() -> None:
    """Nobody knows then whether it restricts anything."""
    with public_folder() as folder:
        (folder / "config.toml").touch(0)
        said = as_user(NOBODY, lambda: Rules.read(CodexHome(str(folder))))
    assert said == f"LocalTrouble: {folder}/config.toml cannot be read: Permission denied."


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


@pytest.mark.parametrize("account", ["b", "", None])
def test_another_workspace_is_refused(account: str | None) -> None:
    """One of the list, or none at all: exact comparison, and no account is not enough."""
    with pytest.raises(SignInRefused) as caught:
        Rules(forced_workspace_ids=("a", "B")).check_workspace(account)
    assert (caught.value.error, caught.value.exit_code) == ("workspace_not_allowed", 3)


def test_what_is_not_forbidden_is_allowed() -> None:
    """The forced method and a workspace of the list; where nothing is forced, everything."""
    Rules(forced_login_method="api", forced_workspace_ids=("a", "B")).check_method("api")
    Rules(forced_login_method="api", forced_workspace_ids=("a", "B")).check_workspace("B")
    Rules().check_method("api")
    Rules().check_workspace(None)


@pytest.mark.parametrize("store", ["keyring", "auto", "ephemeral", "of a later version"])
def test_another_store_is_warned_about(store: str) -> None:
    """Codex may not look at auth.json then; the exact setting is named."""
    warning = Rules(credential_store=store).store_warning
    assert f'"{store}"' in warning
    assert "-c cli_auth_credentials_store=file" in warning
    assert Rules().store_warning == ""


def test_a_config_file_writes_nothing_to_the_terminal() -> None:
    """Escape sequences in its texts do not get onto the screen."""
    rules = Rules("a\x1b[2J", "b\x1b[2J\n")
    with pytest.raises(SignInRefused) as caught:
        rules.check_method("api")
    assert "\x1b" not in rules.store_warning + caught.value.message
