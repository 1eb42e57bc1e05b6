"""auth.json: the exact document, its modes and its owner, links kept, failures without a trace."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.files import Folder
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.stored import read_stored
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import LocalTrouble, WrongUsage
from tests.support.machine import NOBODY, as_user, needs_root, public_folder, umask, within
from tests.support.stored_files import KEY, REFRESH_TOKEN, chatgpt, remove, store

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
NEW = Credentials.api_key(KEY)
LOCKS = {"auth.lock", "auth.json.lock"}


@pytest.fixture
def home(codex_home: Path) -> CodexHome:
    """An empty Codex folder."""
    return CodexHome(str(codex_home))


def _mode(path: Path | str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_chatgpt_document_is_codexs() -> None:
    """Byte for byte as codex-facts.md §5 has it, but for the random login_owner_id."""
    text = chatgpt().content.decode()
    owner = re.search(r'"login_owner_id": "([\w-]{43})"', text)
    assert owner
    held = json.loads(text)["tokens"]
    assert text == (
        "{\n"
        '  "auth_mode": "chatgpt",\n'
        '  "OPENAI_API_KEY": null,\n'
        '  "tokens": {\n'
        f'    "id_token": "{held["id_token"]}",\n'
        f'    "access_token": "{held["access_token"]}",\n'
        f'    "refresh_token": "{REFRESH_TOKEN}",\n'
        '    "oauth_provenance": {\n'
        '      "issuer": "https://auth.openai.com",\n'
        '      "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"\n'
        "    },\n"
        f'    "login_owner_id": "{owner[1]}",\n'
        '    "account_id": "acc-1"\n'
        "  },\n"
        '  "last_refresh": "2026-11-23T05:49:32.344965Z"\n'
        "}"
    )
    assert held["id_token"].count(".") == held["access_token"].count(".") == 2


def test_the_api_key_document_is_codexs() -> None:
    """Two members, and nothing left of any sign-in before."""
    text = f'{{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": "{KEY}"\n}}'
    assert Credentials.api_key(KEY).content.decode() == text


def test_every_sign_in_has_an_owner_of_its_own() -> None:
    """Two sign-ins of one person never share the login_owner_id."""
    assert chatgpt().content != chatgpt().content


def test_credentials_show_nothing_of_themselves() -> None:
    """A log or a traceback with a repr in it gives no secret away."""
    assert repr(chatgpt()) == repr(NEW) == "Credentials()"


def test_what_is_stored_can_be_read_back(home: CodexHome) -> None:
    """From a key to ChatGPT and back: each file is whole and has nothing of the one before."""
    for credentials, mode in [(NEW, "apikey"), (chatgpt(), "chatgpt"), (NEW, "apikey")]:
        assert store(home, credentials) is False
        assert Path(home.auth_file).read_bytes() == credentials.content
        stored = read_stored(home)
        assert stored
        assert stored.mode == mode
        assert stored.refresh_token == (REFRESH_TOKEN if mode == "chatgpt" else None)


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(mask: int, tmp_path: Path) -> None:
    """Folder 0700, file and locks 0600; the file so while there is not one byte in it."""
    home = CodexHome(str(tmp_path / "new"))
    with umask(mask):
        assert home.make() is True
        with Folder.opened(home.path) as folder:
            name, descriptor = folder.make_temporary()
            status = folder.status_of(name)
            assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, 0)
            os.close(descriptor)
            folder.discard(name)
        store(home, NEW)
    assert _mode(home.path) == 0o700
    assert {_mode(path) for path in Path(home.path).iterdir()} == {0o600}
    assert _names(Path(home.path)) == LOCKS | {"auth.json"}


def test_an_open_file_is_repaired(home: CodexHome) -> None:
    """A file that everybody could read is private after the next sign-in."""
    Path(home.auth_file).write_bytes(OLD)
    Path(home.auth_file).chmod(0o666)
    store(home, NEW)
    assert _mode(home.auth_file) == 0o600


def test_replacing_makes_a_new_file(home: CodexHome) -> None:
    """Whoever reads the old one at that moment reads it to its end; other names keep it."""
    path = Path(home.auth_file)
    path.write_bytes(OLD)
    other_name = path.with_name("backup")
    os.link(path, other_name)
    with path.open("rb") as reader:
        before = path.stat().st_ino
        store(home, NEW)
        assert reader.read() == OLD
    assert path.stat().st_ino != before
    assert other_name.read_bytes() == OLD


def _link_chain(home: CodexHome) -> tuple[Path, list[Path]]:
    """Return the real file, and the links to it: absolute, relative, through a linked folder."""
    folder = Path(home.path).parent / "dotfiles"
    (folder / "real").mkdir(parents=True)
    (folder / "linked").symlink_to("real")
    links = [Path(home.auth_file), folder / "second", folder / "third"]
    links[0].symlink_to(links[1])
    links[1].symlink_to("third")
    links[2].symlink_to("linked/auth.json")
    return folder / "real" / "auth.json", links


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "dangling"])
def test_links_are_followed_and_kept(exists: bool, home: CodexHome) -> None:
    """The file at the end of a chain of links is written; nothing of the chain is replaced."""
    real, links = _link_chain(home)
    if exists:
        real.write_bytes(OLD)
    before = [os.readlink(link) for link in links]
    check_writable(home)
    assert store(home, NEW) is False
    assert [os.readlink(link) for link in links] == before
    assert not real.is_symlink()
    assert real.read_bytes() == NEW.content
    assert (_mode(real), _names(real.parent)) == (0o600, {"auth.json", "auth.json.lock"})


def test_removing_keeps_links(home: CodexHome) -> None:
    """Signing out removes the file and leaves the links, ready for the next sign-in."""
    real, links = _link_chain(home)
    real.write_bytes(OLD)
    assert remove(home) is True
    assert not real.exists()
    assert all(link.is_symlink() for link in links)
    assert remove(home) is False


def _make_folder(path: Path) -> None:
    path.mkdir()


def _make_loop(path: Path) -> None:
    path.symlink_to("second")
    path.with_name("second").symlink_to("third")
    path.with_name("third").symlink_to("auth.json")


def _make_self_link(path: Path) -> None:
    path.symlink_to("auth.json")


def _make_link_to_nowhere(path: Path) -> None:
    path.symlink_to("missing/auth.json")


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_device_link(path: Path) -> None:
    device = path.with_name("null")
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root can make a device")
    path.symlink_to(device)


OBSTACLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (_make_folder, "it is a folder"),
    "a loop": (_make_loop, "in a circle"),
    "a link to itself": (_make_self_link, "in a circle"),
    "a link into no folder": (_make_link_to_nowhere, "missing, which does not exist"),
    "a pipe": (_make_pipe, "not a regular file"),
    "a device": (_make_device_link, "not a regular file"),
}


def _picture(folder: Path) -> dict[str, tuple[int, str]]:
    """Return everything that lies in a folder, but for the locks."""
    paths = {path.name: path for path in folder.iterdir() if path.name not in LOCKS}
    return {
        name: (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else "")
        for name, path in paths.items()
    }


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_cannot_be_replaced_stays(case: str, home: CodexHome) -> None:
    """Probe and write fail with the same sentence, and change nothing."""
    make, phrase = OBSTACLES[case]
    make(Path(home.auth_file))
    before = _picture(Path(home.path))
    for attempt in (lambda: check_writable(home), lambda: store(home, NEW)):
        with pytest.raises(LocalTrouble, match=phrase) as caught:
            within(5, attempt)
        assert caught.value.error == "store_failed"
        assert home.auth_file in caught.value.message
        assert KEY not in repr(caught.value) + caught.value.message + caught.value.hint
        assert _picture(Path(home.path)) == before


@pytest.mark.parametrize("case", [case for case in OBSTACLES if case != "a link into no folder"])
def test_what_is_no_file_is_not_removed(case: str, home: CodexHome) -> None:
    """Signing out removes files: not a folder, and no device that a link leads to."""
    make, phrase = OBSTACLES[case]
    make(Path(home.auth_file))
    before = _picture(Path(home.path))
    with pytest.raises(LocalTrouble, match=phrase):
        within(5, lambda: remove(home))
    assert _picture(Path(home.path)) == before


@pytest.mark.parametrize(
    "name", ["auth.lock", "auth.json.lock", "auth.json"], ids=["lock", "second lock", "file"]
)
def test_the_file_in_the_way_is_named(name: str, home: CodexHome) -> None:
    """A folder in the place of a lock is told as that, by the probe as well."""
    (Path(home.path) / name).mkdir()
    for attempt in (lambda: check_writable(home), lambda: store(home, NEW)):
        with pytest.raises(LocalTrouble, match=rf"/{name} cannot be"):
            attempt()
    assert not [found for found in os.listdir(home.path) if found.startswith(".auth-")]


def test_the_probe_changes_nothing(home: CodexHome) -> None:
    """Not even a lock file is made, and the old sign-in keeps its time and its place."""
    Path(home.auth_file).write_bytes(OLD)
    before = os.stat(home.auth_file)
    check_writable(home)
    assert os.stat(home.auth_file) == before
    assert _names(Path(home.path)) == {"auth.json"}


def test_a_missing_folder_is_a_plain_sentence(tmp_path: Path) -> None:
    """A folder that went away meanwhile is trouble on this machine, not a defect."""
    home = CodexHome(str(tmp_path / "gone"))
    with pytest.raises(LocalTrouble, match="No such file"):
        store(home, NEW)


# Other users.


def test_a_folder_of_somebody_else() -> None:
    """Without permission nothing is touched, and the sentence names the owner."""
    with public_folder() as folder:
        (folder / "auth.json").write_bytes(OLD)
        (folder / "auth.json").chmod(0o644)
        folder.chmod(0o555)
        home = CodexHome(str(folder))
        for work in (lambda: check_writable(home), lambda: store(home, NEW), lambda: remove(home)):
            said = as_user(NOBODY, work)
            assert said.startswith("LocalTrouble: "), said
            assert "no permission in" in said
            assert "which belongs to " in said
        assert _names(folder) == {"auth.json"}
        assert (folder / "auth.json").read_bytes() == OLD
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_entered() -> None:
    """Where nobody may look, nobody says that there is no sign-in."""
    with public_folder() as folder:
        inner = folder / "closed"
        inner.mkdir()
        (inner / "auth.json").write_bytes(OLD)
        inner.chmod(0)
        home = CodexHome(str(inner))
        for work in (lambda: remove(home), lambda: read_stored(home), lambda: store(home, NEW)):
            assert as_user(NOBODY, work).startswith("LocalTrouble: ")
        inner.chmod(0o700)
        assert (inner / "auth.json").read_bytes() == OLD


def test_a_writable_file_in_a_closed_folder_is_written_in_place() -> None:
    """A single file that belongs to the user can be had in a folder that does not."""
    with public_folder() as folder:
        path = folder / "auth.json"
        path.write_bytes(OLD)
        path.chmod(0o666)
        inode = path.stat().st_ino
        folder.chmod(0o555)
        home = CodexHome(str(folder))
        assert as_user(NOBODY, lambda: check_writable(home)) == "None"
        assert as_user(NOBODY, lambda: store(home, NEW)) == "True"
        assert (path.read_bytes(), path.stat().st_ino) == (NEW.content, inode)
        assert as_user(NOBODY, lambda: remove(home)) == "True"
        stored = read_stored(home)
        assert stored
        assert stored.mode is None
        folder.chmod(0o755)


@needs_root
def test_a_file_of_roots_in_ones_own_folder_is_replaced() -> None:
    """What `sudo codex` left behind is healed by the next sign-in."""
    with public_folder(NOBODY) as folder:
        for name in ("auth.json", "auth.lock"):
            (folder / name).write_bytes(OLD)
            (folder / name).chmod(0o600)
        home = CodexHome(str(folder))
        assert as_user(NOBODY, lambda: check_writable(home)) == "None"
        assert as_user(NOBODY, lambda: store(home, NEW)) == "False"
        assert (folder / "auth.json").stat().st_uid == NOBODY


@needs_root
def test_a_sticky_folder_protects_the_files_of_others() -> None:
    """In a folder like /tmp another's file cannot be renamed over, and the probe knows."""
    with public_folder() as folder:
        (folder / "auth.json").write_bytes(OLD)
        (folder / "auth.json").chmod(0o644)
        folder.chmod(0o1777)
        home = CodexHome(str(folder))
        for work in (lambda: check_writable(home), lambda: store(home, NEW)):
            assert "no permission" in as_user(NOBODY, work)
        assert (folder / "auth.json").read_bytes() == OLD
        assert not [path for path in folder.iterdir() if path.name.startswith(".auth-")]


@needs_root
def test_root_leaves_another_users_files_to_them() -> None:
    """Folder, file and locks that root makes for somebody belong to them: Codex opens them all."""
    with public_folder(NOBODY) as parent:
        home = CodexHome(str(parent / ".codex"))
        home.make()
        for credentials in (NEW, chatgpt()):
            store(home, credentials)
            made = [Path(home.path), *Path(home.path).iterdir()]
            assert len(made) == 4
            assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(NOBODY, NOBODY)}
        assert as_user(NOBODY, lambda: store(home, NEW)) == "False"


@needs_root
def test_root_keeps_the_owner_of_a_file() -> None:
    """An existing file's owner counts more than the folder's."""
    with public_folder() as folder:
        (folder / "auth.json").write_bytes(OLD)
        os.chown(folder / "auth.json", NOBODY, 12345)
        store(CodexHome(str(folder)), NEW)
        found = (folder / "auth.json").stat()
        assert (found.st_uid, found.st_gid) == (NOBODY, 12345)


@needs_root
def test_root_does_not_follow_another_users_link_to_a_third() -> None:
    """A user must not have root overwrite or remove a file that is not theirs."""
    with public_folder(NOBODY) as folder, public_folder() as elsewhere:
        victim = elsewhere / "precious"
        victim.write_bytes(OLD)
        link = folder / "auth.json"
        link.symlink_to(victim)
        os.lchown(link, NOBODY, NOBODY)
        home = CodexHome(str(folder))
        for work in (check_writable, lambda home: store(home, NEW), remove):
            with pytest.raises(LocalTrouble, match="another user's link"):
                work(home)
        os.lchown(link, 0, 0)  # root's own link is followed
        assert store(home, NEW) is False
        assert victim.read_bytes() == NEW.content


@needs_root
def test_root_makes_no_lock_at_the_end_of_a_link() -> None:
    """A dangling link in a lock's place must not make root create a file somewhere else."""
    with public_folder(NOBODY) as folder, public_folder() as elsewhere:
        (folder / "auth.lock").symlink_to(elsewhere / "made")
        with pytest.raises(LocalTrouble, match=r"auth\.lock cannot be opened"):
            store(CodexHome(str(folder)), NEW)
        assert not list(elsewhere.iterdir())


# The folder itself.


def test_the_folder_is_made_once(tmp_path: Path) -> None:
    """Missing parents are made as well, and an existing folder is left as it is."""
    home = CodexHome(str(tmp_path / "a" / "b"))
    assert (home.make(), home.make()) == (True, False)
    Path(home.path).chmod(0o750)
    assert home.make() is False
    assert _mode(home.path) == 0o750


@pytest.mark.parametrize(
    ("kind", "phrase"),
    [
        ("file", "/codex is a file"),
        ("dangling", "/codex is a link to .*/nowhere, which is no folder"),
        ("below a file", "/codex is a file"),
    ],
)
def test_what_is_in_the_folders_place_is_told(kind: str, phrase: str, tmp_path: Path) -> None:
    """CODEX_HOME being a file or a broken link gets a sentence of its own."""
    path = tmp_path / "codex"
    if kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes(OLD)
    home = CodexHome(str(path / "inner" if kind == "below a file" else path))
    with pytest.raises(LocalTrouble, match=phrase):
        home.make()
    if kind != "dangling":
        assert path.read_bytes() == OLD


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option, else $CODEX_HOME as Codex takes it, else ~/.codex; always absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    here = os.getcwd()
    assert CodexHome.find("/x/", {"CODEX_HOME": "/y"}).path == "/x"
    assert CodexHome.find("~/x", {}).path == "/home/ada/x"
    assert CodexHome.find(None, {"CODEX_HOME": "/y/"}).path == "/y"
    assert CodexHome.find(None, {"CODEX_HOME": "y"}).path == f"{here}/y"
    assert CodexHome.find(None, {"CODEX_HOME": "~/y"}).path == f"{here}/~/y"
    assert CodexHome.find(None, {"CODEX_HOME": ""}).path == "/home/ada/.codex"
    assert CodexHome.find(None, {"HOME": "/home/eve"}).path == "/home/eve/.codex"
    with pytest.raises(WrongUsage):
        CodexHome.find("", {})


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


def _path_in(hint: str) -> Path:
    found = re.search(r"safe in (\S+);", hint)
    assert found, hint
    return Path(found[1])


def test_what_cannot_be_stored_is_saved_elsewhere(
    home: CodexHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an exchange the tokens are not lost: a private file takes them, and is named."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    os.mkdir(home.auth_file)
    with umask(0), pytest.raises(LocalTrouble, match="it is a folder") as caught:
        CodexFolder(home).store(NEW)
    aside = _path_in(caught.value.hint)
    assert aside.read_bytes() == NEW.content
    assert (_mode(aside), _mode(aside.parent)) == (0o600, 0o700)
    assert f"move it to {home.auth_file}" in caught.value.hint
    assert KEY not in caught.value.message + caught.value.hint


def test_the_next_place_is_tried(
    home: CodexHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder for temporary files the user's own takes it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setenv("HOME", str(tmp_path))
    os.mkdir(home.auth_file)
    with pytest.raises(LocalTrouble) as caught:
        CodexFolder(home).store(NEW)
    assert _path_in(caught.value.hint).parent.parent == tmp_path


def test_no_place_takes_it(
    home: CodexHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written any more that is said, and no empty folder is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    os.mkdir(home.auth_file)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LocalTrouble) as caught:
        CodexFolder(home).store(NEW)
    assert "could not be saved anywhere else" in caught.value.hint
    assert _names(tmp_path) == {"codex"}
