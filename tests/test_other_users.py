"""auth.json between users: what a user may not write, and what root never does for another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
import responses

from headless_login.codex.accounts import list_accounts
from headless_login.codex.files import read_owned
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.stored import read_stored
from headless_login.commands.context import Context
from headless_login.commands.logout import logout
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import LocalTrouble
from headless_login.terminal.output import Console, Output
from tests.support.machine import NOBODY, as_user, needs_root, public_folder
from tests.support.people import ADA, GRACE, KEPT, signed_in_as
from tests.support.stored_files import LOCKS, NEW, OLD, chatgpt, made_by, remove, store, write

fcntl = pytest.importorskip("fcntl", reason="users, signals and terminals of POSIX")


def _never() -> None:
    raise AssertionError("it waits for another user's lock")


Work = Callable[[CodexHome], object]
WORKS: list[Work] = [check_writable, partial(store, credentials=NEW, on_wait=_never), remove]


@needs_root
def test_another_users_link_is_not_followed() -> None:
    """Where anybody can lay a link, only this user's, root's or the folder owner's count."""
    with public_folder() as folder, public_folder(NOBODY) as victim:
        folder.chmod(0o1777)
        (victim / "auth.json").write_bytes(OLD)
        os.chown(victim / "auth.json", NOBODY, NOBODY)
        trap = folder / "codex"
        for maker, followed in [(NOBODY - 1, False), (NOBODY, True), (0, True)]:
            trap.symlink_to(victim)
            os.lchown(trap, maker, maker)
            for work in WORKS[:2]:
                said = as_user(NOBODY, partial(work, CodexHome(str(trap))))
                assert ("another user's link" in said) is not followed, said
            assert ((victim / "auth.json").read_bytes() == OLD) is not followed
            trap.unlink()
            (victim / "auth.json").write_bytes(OLD)


@pytest.mark.parametrize(
    ("mode", "phrase"),
    [
        (0o555, "no permission in .*, which belongs to "),
        # In a folder like /tmp another's file cannot be renamed over, and the probe knows.
        pytest.param(0o1777, "no permission: it belongs to root", marks=needs_root),
    ],
    ids=["closed", "sticky"],
)
def test_the_folder_of_another_user(mode: int, phrase: str) -> None:
    """Without permission nothing is touched, and the sentence names the owner."""
    with public_folder() as folder:
        home = CodexHome(str(folder))
        path = write(home, OLD, 0o644)
        folder.chmod(mode)
        for work in WORKS:
            said = as_user(NOBODY, partial(work, home))
            assert re.match(f"LocalTrouble: .*{phrase}", said)
        assert set(os.listdir(folder)) - LOCKS == {"auth.json"}
        assert path.read_bytes() == OLD
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_entered() -> None:
    """Where a user may not look, it is not said that there is no sign-in."""
    with public_folder() as folder:
        home = CodexHome(f"{folder}/closed")
        home.make()
        path = write(home, OLD)
        os.chmod(home.path, 0)
        for work in (lambda: remove(home), lambda: read_stored(home), lambda: store(home, NEW)):
            assert as_user(NOBODY, work).startswith("LocalTrouble: ")
        os.chmod(home.path, 0o700)
        assert path.read_bytes() == OLD


def test_a_writable_file_in_a_closed_folder_is_written_in_place() -> None:
    """A single file that belongs to the user can be had in a folder that does not."""
    with public_folder() as folder:
        home = CodexHome(str(folder))
        path = write(home, OLD, 0o666)
        inode = path.stat().st_ino
        folder.chmod(0o555)
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
        home = CodexHome(str(folder))
        write(home, OLD)
        (folder / "auth.lock").touch(0o600)
        assert as_user(NOBODY, lambda: check_writable(home)) == "None"
        assert as_user(NOBODY, lambda: store(home, NEW)) == "False"
        assert (folder / "auth.json").stat().st_uid == NOBODY


# Root at work for another user.


@needs_root
def test_root_leaves_another_users_files_to_them() -> None:
    """Folder, file and locks that root makes for a user belong to that user: Codex opens them."""
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
        path = write(CodexHome(str(folder)), OLD)
        os.chown(path, NOBODY, 12345)
        store(CodexHome(str(folder)), NEW)
        assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, 12345)


@needs_root
def test_root_makes_no_lock_at_the_end_of_a_link() -> None:
    """A dangling link in a lock's place must not make root create a file in another folder."""
    with public_folder(NOBODY) as folder, public_folder() as elsewhere:
        (folder / "auth.lock").symlink_to(elsewhere / "made")
        with pytest.raises(LocalTrouble, match=r"auth\.lock cannot be opened"):
            store(CodexHome(str(folder)), NEW)
        assert not list(elsewhere.iterdir())


# Eve has root work in her home, and swaps a part of the path for a link to a third user's folder.

VICTIM = 12345


class Place(NamedTuple):
    """What Eve swaps, where her link leads, and the Codex folder, below the homes of both."""

    swapped: str
    leads_to: str
    codex_home: str


PLACES = {
    "folder": Place(".codex", ".codex", ".codex"),
    "folder above": Place("above", ".", "above/.codex"),
    "file": Place(".codex/auth.json", ".codex/auth.json", ".codex"),
}


class Scene:
    """Two homes in a folder; Eve's link lies in its place, or beside it as `spare`."""

    def __init__(self, top: Path, place: Place, *, linked: bool) -> None:
        """Build it; `linked`: the link lies in its place already."""
        self.eve, self.victim = top / "eve", top / "victim"
        for user, uid, codex_home, content in (
            (self.eve, NOBODY, place.codex_home, json.loads(OLD)),
            (self.victim, VICTIM, ".codex", made_by("https://issuer.example")),
        ):
            (user / codex_home).mkdir(parents=True)
            write(CodexHome(str(user / codex_home)), content)
            for path in (user, *user.rglob("*")):
                os.chown(path, uid, uid)
        self.home = CodexHome(str(self.eve / place.codex_home))
        self.swapped = self.eve / place.swapped
        self._spare = self.eve / "spare"
        self._spare.symlink_to(self.victim / place.leads_to)
        os.lchown(self._spare, NOBODY, NOBODY)
        (top / "homes").symlink_to(".")  # links of root's own
        (top / "mine").symlink_to(self.home.path)
        if linked:
            self.swap()

    def swap(self) -> None:
        """Exchange the link and what it replaces."""
        self.swapped.rename(self.eve / "third")
        self._spare.rename(self.swapped)
        (self.eve / "third").rename(self._spare)

    def picture(self) -> list[tuple[object, ...]]:
        """Return all that the victim has."""
        paths = [self.victim, *sorted(self.victim.rglob("*"))]
        found = [(path, path.stat()) for path in paths]
        return [(p.name, s.st_mode, s.st_uid, p.is_file() and p.read_bytes()) for p, s in found]


# System calls that go through no path: a swap before one of them is one before the next.
PATHLESS = {"_path_normpath", "close", "fchmod", "fchown", "fspath", "fstat", "fsync", "geteuid"}


def _swapping(at: int, swap: Callable[[], None], work: Callable[[], object]) -> int:
    """Swap before the so manieth system call of `work`; returns how many calls there were."""
    calls = 0

    def watch(_: FrameType, event: str, function: Any) -> None:
        nonlocal calls
        if event != "c_call" or getattr(function, "__module__", "") != "posix":
            return
        if function.__name__ not in PATHLESS:
            if calls == at:
                sys.setprofile(None)
                swap()
                sys.setprofile(watch)
            calls += 1

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def _use(home: CodexHome) -> None:
    """Do all that root does in a Codex folder."""
    with suppress(LocalTrouble):
        stored = read_stored(home, read=read_owned)
        assert stored is None or stored.refresh_token is None, "it reads a third user's token"
    for work in WORKS:
        with suppress(LocalTrouble):
            work(home)


@needs_root
@pytest.mark.parametrize("linked", [True, False], ids=["from link", "to link"])
@pytest.mark.parametrize(
    ("place", "way"),
    [("folder", "mine"), ("folder above", "homes/eve/above/.codex"), ("file", "eve/.codex")],
)
def test_a_swapped_link_leads_root_nowhere(place: str, way: str, linked: bool) -> None:
    """At whatever call it is swapped: nothing is read, written, locked or removed elsewhere."""
    at, calls = 0, 1
    while at <= calls:
        with public_folder() as top:
            scene = Scene(top, PLACES[place], linked=linked)
            home = CodexHome(str(top / way))
            with open(scene.victim / ".codex" / "auth.json.lock", "w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                before = scene.picture()
                calls = _swapping(at, scene.swap, lambda home=home: _use(home))  # type: ignore[misc]
                assert scene.picture() == before, f"swapped before call {at} of {calls}"
        at += 1


@needs_root
@pytest.mark.parametrize("place", PLACES)
@responses.activate
def test_root_goes_through_no_others_link_to_a_third(place: str) -> None:
    """It is told, and that nothing can be revoked; a link of root's own is followed."""
    said = StringIO()
    context = Context(Output(Console(said)), {})
    with public_folder() as top:
        scene = Scene(top, PLACES[place], linked=True)
        before = scene.picture()
        works: list[Work] = [*WORKS, partial(logout, context=context, revoke=True)]
        for work in works:
            with pytest.raises(LocalTrouble, match="another user's link"):
                work(scene.home)
        assert scene.picture() == before
        os.lchown(scene.swapped, 0, 0)
        store(scene.home, NEW)
        assert (scene.victim / ".codex" / "auth.json").read_bytes() == NEW.content
    assert "another user's link to what is not theirs. So nothing can be revoked" in said.getvalue()
    assert len(responses.calls) == 0


@needs_root
@pytest.mark.parametrize("above", [True, False], ids=["above it", "itself"])
def test_a_folder_is_made_for_no_third_user(above: bool) -> None:
    """Eve's link above a missing Codex folder, or in place of the one that root has just made."""

    def swap() -> None:
        made = scene.eve / "new"
        if made.is_dir() and not above:
            made.rename(scene.eve / "third")
            made.symlink_to(scene.victim)

    at, calls = 0, 1
    while at <= calls:
        with public_folder() as top:
            scene = Scene(top, PLACES["folder above"], linked=True)
            home = CodexHome(str(scene.eve / ("above/new" if above else "new")))
            before = scene.picture()
            with suppress(LocalTrouble):
                calls = _swapping(at, swap, home.make)
            assert scene.picture() == before, f"swapped before call {at} of {calls}"
            shutil.rmtree(scene.eve / "third", ignore_errors=True)
        at += 1


@needs_root
def test_what_root_keeps_belongs_to_the_folders_user() -> None:
    """Their own command has to be able to use it; a folder of another user is not entered."""
    with public_folder(NOBODY) as folder:
        home = CodexHome(str(folder))
        for person in (ADA, GRACE):
            CodexFolder(home, {}).store(signed_in_as(person))
        made = [folder, *folder.rglob("*")]
        assert {path.lstat().st_uid for path in made} == {NOBODY}
        assert as_user(NOBODY, lambda: len(list_accounts(home).kept)) == "1"
        os.chown(folder / KEPT, NOBODY - 1, NOBODY)
        assert list_accounts(home).kept == ()
        with pytest.raises(LocalTrouble, match="no folder of this user's"):
            CodexFolder(home, {}).store(NEW)
