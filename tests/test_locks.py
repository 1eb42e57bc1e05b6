"""Codex's two locks: taken in its order, waited for with patience, and never hung upon."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks
from headless_login.errors import LocalTrouble
from tests.support.machine import (
    IS_ROOT,
    NOBODY,
    as_user,
    needs_root,
    public_folder,
    umask,
    within,
)
from tests.support.stored_files import store

FIRST, SECOND = NAMES = ("auth.lock", "auth.json.lock")


class Holder:
    """Another program that holds a lock, until it lets go."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def let_go(self, *_: object) -> None:
        """Release the lock."""
        self._file.close()


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def _never(seconds: float) -> None:
    raise AssertionError(f"it waited for {seconds} s")


def _is_free(path: Path) -> bool:
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_names_and_their_order(codex_home: Path) -> None:
    """As Codex 0.169.0 opens them (codex-facts.md §6)."""
    taken = []

    def take(descriptor: int) -> bool:
        taken.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return True

    with codex_locks(CodexHome(str(codex_home)), try_lock=take):
        assert taken == [f"{codex_home}/{name}" for name in NAMES]


@pytest.mark.parametrize(
    ("name", "locked_by"),
    [
        ("auth.json", "auth.json.lock"),
        ("real.json", "real.json.lock"),
        ("creds", "creds.json.lock"),
        ("creds.v1.txt", "creds.v1.json.lock"),
        (".creds", ".creds.json.lock"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_the_second_lies_beside_the_file_itself(
    name: str, locked_by: str, exists: bool, codex_home: Path, tmp_path: Path
) -> None:
    """Two folders that share one file by a link exclude each other; the first lock is each's."""
    target = tmp_path / "elsewhere" / name
    target.parent.mkdir()
    if exists:
        target.write_text("{}")
    (codex_home / "auth.json").symlink_to(target)
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert not _is_free(codex_home / FIRST)
        assert not _is_free(target.with_name(locked_by))
    assert not (codex_home / SECOND).exists()


def test_both_are_held_and_stay(codex_home: Path) -> None:
    """Held inside, free after, and never removed: a removed lock file locks nobody out."""
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert not _is_free(codex_home / FIRST)
        assert not _is_free(codex_home / SECOND)
    assert _is_free(codex_home / FIRST)
    assert _is_free(codex_home / SECOND)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_lock_files_are_private(mask: int, codex_home: Path) -> None:
    """0600 whatever the umask: another one could keep the user's own Codex out."""
    with umask(mask), codex_locks(CodexHome(str(codex_home))):
        pass
    assert {stat.S_IMODE((codex_home / name).stat().st_mode) for name in NAMES} == {0o600}


def test_existing_lock_files_are_left_as_they_are(codex_home: Path) -> None:
    """The file that Codex made is the one that is locked, unchanged."""
    (codex_home / FIRST).write_bytes(b"codex")
    before = (codex_home / FIRST).stat()
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert not _is_free(codex_home / FIRST)
    after = (codex_home / FIRST).stat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, 5)


def test_the_second_is_not_taken_before_the_first(codex_home: Path) -> None:
    """While the first is waited for the second stays free: two programs cannot block each other."""
    holder = Holder(codex_home / FIRST)
    seen = []

    def look(_: float) -> None:
        seen.append((codex_home / SECOND).exists())
        holder.let_go()

    with codex_locks(CodexHome(str(codex_home)), sleep=look):
        assert seen == [False]


def test_the_first_is_kept_while_the_second_is_waited_for(codex_home: Path) -> None:
    """As Codex does it."""
    holder = Holder(codex_home / SECOND)
    seen = []

    def look(_: float) -> None:
        seen.append(_is_free(codex_home / FIRST))
        holder.let_go()

    with codex_locks(CodexHome(str(codex_home)), sleep=look):
        assert seen == [False]


def test_waiting_is_told_once(codex_home: Path) -> None:
    """Both locks are held for a while by others: one message, and none without a wait."""
    home = CodexHome(str(codex_home))
    holders = [Holder(codex_home / name) for name in NAMES]
    waits: list[float] = []
    said: list[str] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) in (3, 6):
            holders.pop(0).let_go()

    with codex_locks(home, on_wait=lambda: said.append("waiting"), sleep=pause):
        assert (len(waits), said) == (6, ["waiting"])
    with codex_locks(home, on_wait=lambda: said.append("again"), sleep=_never):
        assert said == ["waiting"]


@pytest.mark.parametrize("name", NAMES)
def test_patience_ends(name: str, codex_home: Path) -> None:
    """After 30 seconds in all: which lock it was, nothing done, and the other one free again."""
    holder = Holder(codex_home / name)
    clock = Clock()
    with (
        pytest.raises(LocalTrouble, match=rf"held .*/{name} for 30 seconds") as caught,
        codex_locks(CodexHome(str(codex_home)), clock=clock, sleep=clock.sleep),
    ):
        raise AssertionError("it went on without the lock")
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    assert 30 <= clock.now - 1000 < 30.2
    other = codex_home / (SECOND if name == FIRST else FIRST)
    assert not other.exists() or _is_free(other)
    holder.let_go()


def test_an_interrupted_wait_holds_nothing(codex_home: Path) -> None:
    """Ctrl-C while waiting for the second lock releases the first."""
    holder = Holder(codex_home / SECOND)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        codex_locks(CodexHome(str(codex_home)), sleep=interrupt),
    ):
        raise AssertionError("it went on without the lock")
    assert _is_free(codex_home / FIRST)
    holder.let_go()


COUNTER = "counter"


def _count(home: CodexHome, times: int) -> None:
    """Add to a number in a file, in a way that loses counts without a lock."""
    path = Path(home.path) / COUNTER
    for _ in range(times):
        with codex_locks(home, sleep=lambda _: os.sched_yield()):
            number = int(path.read_text())
            os.sched_yield()
            path.write_text(str(number + 1))


def test_processes_exclude_each_other(codex_home: Path) -> None:
    """Four processes count in one file at once, and no count is lost."""
    home = CodexHome(str(codex_home))
    (codex_home / COUNTER).write_text("0")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                _count(home, 50)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert (codex_home / COUNTER).read_text() == "200"


def test_storing_waits_for_the_lock(codex_home: Path) -> None:
    """Nothing is written while another program holds the second lock."""
    holder = Holder(codex_home / SECOND)
    seen = []

    def look() -> None:
        seen.append(os.listdir(codex_home))
        holder.let_go()

    store(CodexHome(str(codex_home)), Credentials.api_key("k" * 30), on_wait=look)
    assert [sorted(names) for names in seen] == [["auth.json.lock", "auth.lock"]]


# What else can lie in a lock file's place.


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [_folder, _loop, _dangling])
def test_what_is_no_file_is_named(make: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    """The sentence is about the lock and not about auth.json; nothing is made elsewhere."""
    make(tmp_path / name)
    with (
        pytest.raises(LocalTrouble, match=rf"/{name} cannot be opened to lock it: ") as caught,
        codex_locks(CodexHome(str(tmp_path)), sleep=_never),
    ):
        raise AssertionError("it went on without the lock")
    assert caught.value.error == "store_failed"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_does_not_hang(name: str) -> None:
    """Opening it waits for no writer, even where it may only be read."""

    def take() -> str:
        with codex_locks(CodexHome(str(folder)), sleep=_never):
            return "in"

    with public_folder() as folder:
        os.mkfifo(folder / name)
        (folder / name).chmod(0o444)
        assert within(5, take) == "in"
        assert as_user(NOBODY, lambda: within(5, take)) == "in"


def test_a_link_to_a_lock_is_followed(codex_home: Path) -> None:
    """A linked lock file is locked where it really is, as Codex locks it."""
    real = codex_home.parent / "real"
    real.touch()
    (codex_home / FIRST).symlink_to(real)
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert not _is_free(real)


def test_a_folder_that_takes_no_locks() -> None:
    """Where none can be made, nobody holds one: it goes on at once."""

    def take() -> str:
        with codex_locks(CodexHome(str(folder)), sleep=_never):
            return "in"

    with public_folder() as folder:
        folder.chmod(0o555)
        assert as_user(NOBODY, take) == "in"
        assert not list(folder.iterdir())
        folder.chmod(0o755)


def test_a_lock_that_may_only_be_read_is_waited_for() -> None:
    """Reading is enough to see that another user's program holds it."""

    def take() -> str:
        clock = Clock()
        with codex_locks(CodexHome(str(folder)), clock=clock, sleep=clock.sleep):
            return "in"

    with public_folder() as folder:
        (folder / FIRST).touch()
        (folder / FIRST).chmod(0o444)
        folder.chmod(0o555)
        with open(folder / FIRST) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert as_user(NOBODY, take).startswith("LocalTrouble: Another program has held")
        assert as_user(NOBODY, take) == "in"
        folder.chmod(0o755)


@needs_root
def test_a_lock_that_may_not_even_be_read_is_passed_over() -> None:
    """What root left behind keeps nobody out of their own folder."""

    def take() -> str:
        with codex_locks(CodexHome(str(folder)), sleep=_never):
            return "in"

    assert IS_ROOT
    with public_folder(NOBODY) as folder:
        (folder / FIRST).touch()
        (folder / FIRST).chmod(0o600)
        assert as_user(NOBODY, take) == "in"


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF]
)
def test_a_file_system_without_locks(
    number: int, codex_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS without its lock service, or on FUSE, nobody can hold a lock: it goes on."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        pass
