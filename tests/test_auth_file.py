"""auth.json: the exact document, its modes, links kept, failures without a trace."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from headless_login.codex.auth_file import set_aside
from headless_login.codex.files import Folder
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.stored import read_stored
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.practice.person import approve
from tests.support.machine import (
    as_user,
    file_size_limit,
    has_mode,
    posix_modes,
    posix_paths,
    umask,
    within,
)
from tests.support.program import Piped
from tests.support.stored_files import (
    ACCESS_CLAIMS,
    ID_CLAIMS,
    KEY,
    LOCKS,
    NEW,
    NO_FILES,
    OLD,
    REFRESH_TOKEN,
    chatgpt,
    document,
    jwt,
    remove,
    store,
    write,
)


def _names(folder: Path | str) -> set[str]:
    return set(os.listdir(folder))


def test_the_documents_are_codexs() -> None:
    """Byte for byte as codex-facts.md §5 has them, but for the random login_owner_id."""
    content = chatgpt().content.decode()
    owner_id = json.loads(content)["tokens"]["login_owner_id"]
    assert re.fullmatch(r"[\w-]{43}", owner_id)
    assert owner_id not in chatgpt().content.decode()  # each has one of its own
    provenance = {"issuer": "https://auth.openai.com", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"}
    held: dict[str, object] = {"id_token": jwt(ID_CLAIMS), "access_token": jwt(ACCESS_CLAIMS)}
    held |= {"refresh_token": REFRESH_TOKEN, "oauth_provenance": provenance}
    held |= {"login_owner_id": owner_id, "account_id": "acc-1"}
    expected = document(tokens=held, last_refresh="2026-11-23T05:49:32.344965Z")
    assert content == json.dumps(expected, indent=2)
    key_alone = f'{{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": "{KEY}"\n}}'
    assert NEW.content.decode() == key_alone
    assert "MARKED" not in repr(chatgpt()) + repr(NEW)


def test_what_is_stored_can_be_read_back(home: CodexHome) -> None:
    """From a key to ChatGPT and back: each file is whole and has nothing of the one before."""
    for credentials, mode in [(NEW, "apikey"), (chatgpt(), "chatgpt"), (NEW, "apikey")]:
        assert store(home, credentials) is False
        assert Path(home.auth_file).read_bytes() == credentials.content
        stored = read_stored(home)
        assert stored
        assert stored.mode == mode
        assert stored.refresh_token == (REFRESH_TOKEN if mode == "chatgpt" else None)


@posix_modes
@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(mask: int, tmp_path: Path) -> None:
    """Folder 0700, file and locks 0600; the file so while there is not one byte in it."""
    home = CodexHome(str(tmp_path / "new"))
    with umask(mask):
        assert home.make() is True
        with Folder.opened(home.path) as folder:
            os.close(folder.make("new"))
            status = folder.status_of("new")
            assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, 0)
            folder.discard("new")
        store(home, NEW)
    assert has_mode(home.path, 0o700)
    assert all(has_mode(path, 0o600) for path in Path(home.path).iterdir())
    assert _names(home.path) == LOCKS | {"auth.json"}


def test_replacing_makes_a_new_private_file(home: CodexHome) -> None:
    """A reader of the old one reads it to its end, its other names keep it; the new one is 0600."""
    path = write(home, OLD, 0o666)
    other_name = path.with_name("backup")
    os.link(path, other_name)
    # On Windows nothing that is open can be replaced: test_windows.py.
    with BytesIO(OLD) if sys.platform == "win32" else path.open("rb") as reader:
        before = path.stat().st_ino
        store(home, NEW)
        assert reader.read() == OLD
    assert path.stat().st_ino != before
    assert has_mode(path, 0o600)
    assert other_name.read_bytes() == OLD


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "dangling"])
def test_links_are_followed_and_kept(exists: bool, home: CodexHome) -> None:
    """The file at the end of a chain of links is written and removed; the chain stays."""
    folder = Path(home.path).parent / "dotfiles"
    (folder / "real").mkdir(parents=True)
    (folder / "linked").symlink_to("real")
    chain = {
        Path(home.auth_file): str(folder / "second"),  # absolute
        folder / "second": "third",  # relative
        folder / "third": "linked/auth.json",  # through a linked folder
    }
    for link, target in chain.items():
        link.symlink_to(target)
    real = folder / "real" / "auth.json"
    if exists:
        real.write_bytes(OLD)
    check_writable(home)
    assert store(home, NEW) is False
    assert not real.is_symlink()
    assert real.read_bytes() == NEW.content
    assert has_mode(real, 0o600)
    assert _names(real.parent) == {"auth.json", "auth.json.lock"}
    assert (remove(home), remove(home), real.exists()) == (True, False, False)
    assert {link: os.readlink(link) for link in chain} == chain


OBSTACLES = {
    "a folder": "it is a folder",
    "a link to itself": "in a circle",
    "a link into no folder": "missing, which does not exist",
    "a pipe": "not a regular file",
    "a link to a device": "not a regular file",
}


def _picture(folder: str) -> dict[str, tuple[int, str]]:
    """Return everything that lies in a folder, but for the locks."""
    paths = [path for path in Path(folder).iterdir() if path.name not in LOCKS]
    return {p.name: (p.lstat().st_mode, os.readlink(p) if p.is_symlink() else "") for p in paths}


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_cannot_be_replaced_stays(case: str, home: CodexHome) -> None:
    """Probe, write and removal fail with the same sentence, and change nothing."""
    NO_FILES[case](Path(home.auth_file))
    before = _picture(home.path)
    for work in (lambda: check_writable(home), lambda: store(home, NEW), lambda: remove(home)):
        with pytest.raises(LocalTrouble, match=OBSTACLES[case]) as caught:
            within(5, work)
        assert caught.value.error == "store_failed"
        assert home.auth_file in caught.value.message
        assert KEY not in repr(caught.value) + caught.value.message + caught.value.hint
        assert _picture(home.path) == before


def test_the_probe_changes_nothing(home: CodexHome) -> None:
    """Not even a lock file is made, and the old sign-in keeps its time and its place."""
    before = write(home, OLD).stat()
    check_writable(home)
    assert os.stat(home.auth_file) == before
    assert _names(home.path) == {"auth.json"}


def test_a_missing_folder_is_a_plain_sentence(tmp_path: Path) -> None:
    """A folder that went away meanwhile is trouble on this machine, not a defect."""
    with pytest.raises(LocalTrouble, match=r"No such file|[Nn]ot found|cannot find"):
        store(CodexHome(str(tmp_path / "gone")), NEW)


# The folder itself.


def test_the_folder_is_made_once(tmp_path: Path) -> None:
    """Missing parents are made as well, and an existing folder is left as it is."""
    home = CodexHome(str(tmp_path / "a" / "b"))
    assert (home.make(), home.make()) == (True, False)
    Path(home.path).chmod(0o750)
    assert home.make() is False
    assert has_mode(home.path, 0o750)


@pytest.mark.parametrize(
    ("make", "below", "phrase"),
    [
        (Path.touch, "", r"[/\\]codex is a file"),
        (Path.touch, "inner", r"[/\\]codex is a file"),
        (NO_FILES["a dangling link"], "", "/codex is a link to .*/nowhere, which is no folder"),
    ],
)
def test_what_is_in_the_folders_place_is_told(
    make: Callable[[Path], None], below: str, phrase: str, tmp_path: Path
) -> None:
    """CODEX_HOME being a file or a broken link gets a sentence of its own, and stays."""
    make(tmp_path / "codex")
    with pytest.raises(LocalTrouble, match=phrase):
        CodexHome(str(tmp_path / "codex" / below)).make()
    assert (tmp_path / "codex").is_symlink() or (tmp_path / "codex").read_bytes() == b""


@posix_paths
@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("/x/", {"CODEX_HOME": "/y"}, "/x"),
        ("~/x", {}, "/home/ada/x"),
        (None, {"CODEX_HOME": "/y/"}, "/y"),
        (None, {"CODEX_HOME": "y"}, "HERE/y"),
        (None, {"CODEX_HOME": ""}, "/home/ada/.codex"),
        (None, {"HOME": "/home/eve"}, "/home/eve/.codex"),
    ],
)
def test_where_the_folder_is(
    given: str | None, environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option, else $CODEX_HOME as Codex takes it, else ~/.codex; always absolute."""
    monkeypatch.setenv("HOME", "/home/ada")
    assert CodexHome.find(given, environ).path == expected.replace("HERE", os.getcwd())
    with pytest.raises(WrongUsage):
        CodexHome.find("", environ)  # a script's variable that is not set is not the default


@posix_paths
@pytest.mark.parametrize("value", ["", None], ids=["empty", "not set"])
def test_without_home_the_list_of_users_counts(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty HOME never makes it /.codex, and an unknown user never a folder named `~`."""
    monkeypatch.delenv("HOME")
    if value is not None:
        monkeypatch.setenv("HOME", value)
    found = CodexHome.find(None, {}).path
    assert found != "/.codex"
    assert found.endswith("/.codex")
    assert "~" not in found
    said = as_user(54321, lambda: CodexHome.find(None, {}).path)
    assert said.startswith("LocalTrouble: Your home folder is not known") or os.geteuid() != 0


# Saved elsewhere: a code works once.


def test_what_cannot_be_stored_is_saved_elsewhere(
    environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """After an exchange the tokens are not lost: a private file takes them, and is named."""
    environ["TMPDIR"] = str(tmp_path)
    with umask(0), Piped("login", "--paste-redirect", environ=environ) as piped:
        answer = approve(piped.read_url())
        (codex_home / "auth.json").mkdir()  # after the probe, before the write
        outcome = piped.finish(answer)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    (aside,) = tmp_path.glob("headless-login-*/auth.json")
    assert f"safe in {aside}; fix that, then move it to {codex_home / 'auth.json'}" in outcome.err
    assert has_mode(aside, 0o600)
    assert has_mode(aside.parent, 0o700)
    saved = json.loads(aside.read_text())
    assert saved["auth_mode"] == "chatgpt"
    assert saved["tokens"]["access_token"] not in outcome.err + outcome.out


def test_the_next_place_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one place does not take it: in a new folder in another one, as in the user's own."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    aside = set_aside(NEW, places=[str(tmp_path / "missing"), "~"])
    assert aside
    assert Path(aside).read_bytes() == NEW.content
    assert Path(aside).parent.parent == tmp_path


def test_no_place_takes_it(home: CodexHome, tmp_path: Path) -> None:
    """Where nothing can be written any more that is said, and no empty folder is left."""
    with file_size_limit(10):
        assert set_aside(NEW, places=[str(tmp_path)]) is None
        with pytest.raises(LocalTrouble, match="File too large") as caught:
            CodexFolder(home).store(chatgpt())
        with pytest.raises(LocalTrouble, match="File too large") as again:
            CodexFolder(home).store(NEW)  # which the person has, and can give again
    assert "saved" not in again.value.hint
    assert "could not be saved anywhere else" in caught.value.hint
    assert _names(tmp_path) == {"codex"}
    assert _names(home.path) == LOCKS


LEFT = {
    ".auth-0123456789ab": True,
    ".auth-try-0123456789ab": False,
    ".auth-AbC123": True,
    ".auth-notes.txt": False,
    "auth": False,
}


@pytest.mark.parametrize("work", [partial(store, credentials=NEW), remove], ids=["store", "remove"])
def test_what_a_killed_write_left_is_swept(
    work: Callable[[CodexHome], object], home: CodexHome
) -> None:
    """Ours and Codex's temporary files hold tokens; other names, folders and links stay."""
    for name in LEFT:
        (Path(home.path) / name).write_bytes(OLD)
    (Path(home.path) / ".auth-fedcba987654").mkdir()
    kept = {".auth-fedcba987654"}
    if sys.platform != "win32":
        (Path(home.path) / ".auth-123456").symlink_to("auth")
        kept.add(".auth-123456")
    work(home)
    left = {name for name, goes in LEFT.items() if not goes} | kept
    assert _names(home.path) - LOCKS - {"auth.json"} == left
