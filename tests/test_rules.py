"""What the config and policy files demand of a sign-in; test_agreement.py has Codex beside it."""

from __future__ import annotations

import os
import plistlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest

from headless_login.codex.home import CodexHome
from headless_login.codex.rules import PolicyPlace, Rules
from headless_login.codex.verdict import store_obstacle
from headless_login.errors import HeadlessLoginError, LocalTrouble, SignInRefused
from tests.support.machine import NOBODY, as_user, public_folder, within

API = 'forced_login_method = "api"'
CHATGPT = 'forced_login_method = "chatgpt"'


def _read(folder: Path, files: Mapping[str, str | bytes]) -> Rules:
    """Write files, `home` into the Codex folder and the others into the policy's, and read."""
    home, policy = folder / "home", folder / "policy"
    for path in (home, policy):
        path.mkdir(exist_ok=True)
    for name, content in files.items():
        path = home / "config.toml" if name == "home" else policy / f"{name}.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Rules.read(CodexHome(str(home)), PolicyPlace(str(policy)))


def test_without_files_nothing_is_demanded(tmp_path: Path) -> None:
    """No file, no folder: Codex's defaults."""
    assert _read(tmp_path, {}) == Rules()
    missing = str(tmp_path / "missing")
    assert Rules.read(CodexHome(missing), PolicyPlace(missing)) == Rules()


@pytest.mark.parametrize(
    ("files", "forbidden", "workspaces", "store"),
    [
        ({"home": ""}, "", None, "file"),
        ({"home": 'model = "gpt-5"\n[tools]\nx = 1'}, "", None, "file"),
        ({"home": 'cli_auth_credentials_store = "keyring"'}, "", None, "keyring"),
        ({"home": API}, "chatgpt", None, "file"),
        ({"home": f"\ufeff{API}\r\n"}, "chatgpt", None, "file"),
        ({"home": f"[profiles.x]\n{API}"}, "", None, "file"),
        ({"home": 'forced_chatgpt_workspace_id = "a"'}, "", ("a",), "file"),
        ({"home": 'forced_chatgpt_workspace_id = [" a ", "b"]'}, "", ("a", "b"), "file"),
        ({"home": "forced_chatgpt_workspace_id = []"}, "", None, "file"),
        ({"config": API, "home": CHATGPT}, "api", None, "file"),
        ({"managed_config": API, "home": CHATGPT}, "chatgpt", None, "file"),
        ({"requirements": 'allowed_login_methods = ["api"]'}, "chatgpt", None, "file"),
        ({"requirements": "allowed_chatgpt_workspaces = []"}, "chatgpt", (), "file"),
        (
            {
                "requirements": 'allowed_chatgpt_workspaces = ["b", "c"]',
                "home": 'forced_chatgpt_workspace_id = ["a", "b"]',
            },
            *("", ("b",), "file"),
        ),
        (
            {
                "requirements": 'cli_auth_credentials_store = "file"',
                "managed_config": 'cli_auth_credentials_store = "keyring"',
            },
            *("", None, "file"),
        ),
    ],
)
def test_what_is_read(
    files: Mapping[str, str],
    forbidden: str,
    workspaces: tuple[str, ...] | None,
    store: str,
    tmp_path: Path,
) -> None:
    """Stronger files replace what weaker ones say; requirements come on top."""
    rules = _read(tmp_path, files)
    assert " ".join(rules.forbidden) == forbidden
    assert (rules.workspace_ids, rules.credential_store) == (workspaces, store)


@pytest.mark.parametrize("name", ["home", "config", "managed_config", "requirements"])
@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("x = ", "not valid TOML"),
        (b'x = "\xff"', "not valid TOML"),
        (b"\xff\xfex\x00", "not valid TOML"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("# " + "x" * 5_000_000, "far too long"),
        ("cli_auth_credentials_store = 1", "its cli_auth_credentials_store is not a text"),
        ('cli_auth_credentials_store = "a\\u001b"', 'is "a", and not one of: file, keyring'),
    ],
)
def test_what_is_not_understood_is_refused(
    name: str, content: str | bytes, phrase: str, tmp_path: Path
) -> None:
    """A restriction must not be overlooked because it is written wrongly; the file is named."""
    with pytest.raises(LocalTrouble, match=phrase) as caught:
        _read(tmp_path, {name: content})
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    file = "home/config.toml" if name == "home" else f"policy/{name}.toml"
    assert f"{tmp_path / file} cannot be used" in caught.value.message
    assert "\x1b" not in caught.value.message


def test_what_is_no_file_is_refused_without_hanging(codex_home: Path) -> None:
    """A pipe in its place is not waited for; a folder is one."""
    path, home = codex_home / "config.toml", CodexHome(str(codex_home))
    os.mkfifo(path)
    with pytest.raises(LocalTrouble, match="not a regular file"):
        within(20, lambda: Rules.read(home))
    path.unlink()
    path.mkdir()
    with pytest.raises(LocalTrouble, match="it is a folder"):
        Rules.read(home)


def test_a_file_that_may_not_be_read_is_refused() -> None:
    """Nobody knows then whether it restricts anything."""
    with public_folder() as folder:
        (folder / "config.toml").write_text(API)
        (folder / "config.toml").chmod(0)
        said = as_user(NOBODY, lambda: Rules.read(CodexHome(str(folder))))
    assert said.startswith("LocalTrouble: ")
    assert "Permission denied" in said


@pytest.mark.parametrize(
    ("files", "method", "way_out"),
    [
        ({"home": API}, "chatgpt", "headless-login login --with-api-key"),
        ({"home": CHATGPT}, "api", "headless-login login`"),
        ({"requirements": 'allowed_login_methods = ["api"]'}, "chatgpt", "--with-api-key"),
    ],
)
def test_the_other_way_is_refused(
    files: Mapping[str, str], method: str, way_out: str, tmp_path: Path
) -> None:
    """With the file that says so, and the command that is allowed."""
    rules = _read(tmp_path, files)
    with pytest.raises(SignInRefused, match=r"is not allowed here: \S+\.toml says") as caught:
        rules.check_method(method)
    assert (caught.value.error, caught.value.exit_code) == ("login_method_not_allowed", 3)
    assert way_out in caught.value.hint
    rules.check_method("api" if method == "chatgpt" else "chatgpt")


@pytest.mark.parametrize(
    "files",
    [
        {"requirements": "allowed_login_methods = []"},
        {"requirements": 'allowed_login_methods = ["api"]', "home": CHATGPT},
        {"requirements": "allowed_chatgpt_workspaces = []", "managed_config": CHATGPT},
    ],
)
def test_no_way_is_left(files: Mapping[str, str], tmp_path: Path) -> None:
    """Codex does not even start then."""
    with pytest.raises(SignInRefused, match="No way to sign in is allowed here") as caught:
        _read(tmp_path, files)
    assert caught.value.error == "login_method_not_allowed"


@pytest.mark.parametrize("account", ["b", "", None])
def test_another_workspace_is_refused(account: str | None, tmp_path: Path) -> None:
    """One of the list, or none at all: exact comparison, and no account is not enough."""
    rules = _read(tmp_path, {"home": 'forced_chatgpt_workspace_id = ["a", "B"]'})
    rules.check_workspace("a")
    Rules().check_workspace(account)
    with pytest.raises(SignInRefused, match=r"home[/\\]config\.toml does not allow") as caught:
        rules.check_workspace(account)
    assert (caught.value.error, caught.value.exit_code) == ("workspace_not_allowed", 3)


@pytest.mark.parametrize(
    ("store", "name", "item", "remedy"),
    [
        ("keyring", "home", None, "-c cli_auth_credentials_store=file"),
        ("ephemeral", "config", None, "-c cli_auth_credentials_store=file"),
        ("keyring", "managed_config", None, "managed_config.toml."),
        ("ephemeral", "requirements", b"{}", "requirements.toml."),
        ("auto", "home", b'{"auth_mode": "apikey"}', "codex logout"),
        ("auto", "home", b"[]", ""),
        ("auto", "home", None, ""),
        ("file", "home", b"{}", ""),
    ],
)
def test_a_store_that_is_not_the_file(
    store: str, name: str, item: bytes | None, remedy: str, tmp_path: Path
) -> None:
    """The setting that decides is named, and what makes the file count."""
    rules = _read(tmp_path, {name: f'cli_auth_credentials_store = "{store}"'})
    home = CodexHome(str(tmp_path / "home"))
    found = store_obstacle(home, rules, {}, read_keyring=lambda *_: item)
    assert (found is not None) is bool(remedy)
    if found is not None:
        assert found.remedy.endswith(remedy) or remedy in found.remedy
        assert f'.toml says cli_auth_credentials_store = "{store}"' in found.message


def test_the_place_of_each_platform() -> None:
    """ProgramData on Windows; managed preferences, machine and user, on macOS."""
    assert PolicyPlace.of_this_machine("linux", {"ProgramData": "x"}) == PolicyPlace("/etc/codex")
    windows = PolicyPlace.of_this_machine("win32", {"ProgramData": "D:\\Data"})
    assert windows.folder.replace("\\", "/") == "D:/Data/OpenAI/Codex"
    managed = "/Library/Managed Preferences"
    assert PolicyPlace.of_this_machine("darwin", {"USER": "ada"}) == PolicyPlace(
        "/etc/codex",
        (f"{managed}/com.openai.codex.plist", f"{managed}/ada/com.openai.codex.plist"),
    )


def test_managed_preferences_of_macos(tmp_path: Path) -> None:
    """Base64 of TOML in property lists: above managed_config.toml, and requirements above those."""
    rules = _read(tmp_path, {"managed_config": API})
    assert [*rules.forbidden] == ["chatgpt"]
    plist = tmp_path / "com.openai.codex.plist"
    place = PolicyPlace(str(tmp_path / "policy"), (str(plist), str(tmp_path / "missing.plist")))
    home = CodexHome(str(tmp_path / "home"))
    encoded = {"config_toml_base64": b64encode(CHATGPT.encode()).decode()}
    plist.write_bytes(plistlib.dumps(encoded))
    assert [*Rules.read(home, place).forbidden] == ["api"]
    limit = 'allowed_chatgpt_workspaces = ["a"]'
    encoded["requirements_toml_base64"] = b64encode(limit.encode()).decode()
    plist.write_bytes(plistlib.dumps(encoded))
    assert Rules.read(home, place).workspace_ids == ("a",)
    for broken in (b"no plist", plistlib.dumps({"config_toml_base64": 7}), plistlib.dumps([])):
        plist.write_bytes(broken)
        with pytest.raises(HeadlessLoginError, match=r"com\.openai\.codex\.plist cannot be used"):
            Rules.read(home, place)
