"""Codex's two locks: taken in its order, waited for with patience, and never hung upon."""

from __future__ import annotations

import errno
import os
import sys
import time
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.files import try_lock
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks
from headless_login.codex.preflight import check_writable
from headless_login.errors import LocalTrouble, Terminated
from tests.support.machine import NOBODY, as_user, hold, is_held, needs_root, public_folder, within
from tests.support.stored_files import NEW, NO_FILES, store

if sys.platform == "win32":
    Process = get_context("spawn").Process
else:
    Process = get_context("fork").Process
FIRST, SECOND = NAMES = ("auth.lock", "auth.json.lock")


def _never(seconds: float) -> None:
    raise AssertionError(f"it waited for {seconds} s")


def _take(folder: Path) -> str:
    """Take both locks, with all patience but without a wait in real time."""
    waits: list[float] = []
    with codex_locks(CodexHome(str(folder)), clock=lambda: sum(waits), sleep=waits.append):
        return "in after a wait" if waits else "in"


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
        assert is_held(codex_home / FIRST)
        assert is_held(target.with_name(locked_by))
    assert not (codex_home / SECOND).exists()


def test_both_are_held_and_stay(codex_home: Path) -> None:
    """Held inside, free after, and never removed: a removed lock file locks nobody out."""
    files = [codex_home / name for name in NAMES]
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert [*map(is_held, files)] == [True, True]
    assert [*map(is_held, files)] == [False, False]


def test_existing_lock_files_are_left_as_they_are(codex_home: Path) -> None:
    """The file that Codex made is the one that is locked, unchanged; and so where it is a link."""
    real, second = codex_home.parent / "real", codex_home / SECOND
    real.write_bytes(b"codex")
    if sys.platform == "win32":
        real = real.rename(codex_home / FIRST)
    else:
        (codex_home / FIRST).symlink_to(real)
    second.write_bytes(b"codex")
    second.chmod(0o640)
    before = [(path.stat().st_ino, path.stat().st_mode) for path in (real, second)]
    with codex_locks(CodexHome(str(codex_home)), sleep=_never):
        assert is_held(real)
        assert is_held(second)
    after = [(path.stat().st_ino, path.stat().st_mode) for path in (real, second)]
    assert before == after
    assert real.read_bytes() == second.read_bytes() == b"codex"


# Waiting.


@pytest.mark.parametrize("held", NAMES)
def test_storing_waits_in_codexs_order(held: str, codex_home: Path) -> None:
    """While one is held nothing is written, and the first is held before the second is touched."""
    holder = hold(codex_home / held)
    seen = []

    def look() -> None:
        seen.append(sorted(os.listdir(codex_home)))
        assert is_held(codex_home / FIRST)
        holder.close()

    store(CodexHome(str(codex_home)), NEW, on_wait=look)
    assert seen == [[FIRST] if held == FIRST else [SECOND, FIRST]]


def test_waiting_is_told_once(codex_home: Path) -> None:
    """Both locks are held for a while by others: one message, and none without a wait."""
    home = CodexHome(str(codex_home))
    holders = [hold(codex_home / name) for name in NAMES]
    waits: list[float] = []
    said: list[str] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) in (3, 6):
            holders.pop(0).close()

    with codex_locks(home, on_wait=lambda: said.append("waiting"), sleep=pause):
        assert (len(waits), said) == (6, ["waiting"])
    with codex_locks(home, on_wait=lambda: said.append("again"), sleep=_never):
        assert said == ["waiting"]


@pytest.mark.parametrize("name", NAMES)
def test_patience_ends(name: str, codex_home: Path) -> None:
    """After 30 seconds in all: which lock it was, nothing done, and the other one free again."""
    waits: list[float] = []
    with (
        hold(codex_home / name),
        pytest.raises(LocalTrouble, match=rf"held .*[/\\]{name} for 30 seconds") as caught,
        codex_locks(CodexHome(str(codex_home)), clock=lambda: sum(waits), sleep=waits.append),
    ):
        raise AssertionError("it went on without the lock")
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    assert 30 <= sum(waits) < 30.2
    assert not any(map(is_held, codex_home.iterdir()))


def _interrupt_every_line(folder: Path) -> None:
    """Hold the locks, ended by a signal at the first line, at the second, and so on."""
    for moment in count(1):
        left, home = moment, CodexHome(str(folder / str(moment)))
        home.make()  # another one each time: the process, which would end, holds the locks still

        def trace(_: object, event: str, __: object) -> Any:
            nonlocal left
            left -= event == "line"
            if event == "line" and left == 0:
                raise Terminated
            return trace

        sys.settrace(trace)
        try:
            with codex_locks(home):
                pass
        except Terminated:
            continue
        finally:
            sys.settrace(None)
        break
    assert left > 0  # it was not raised: there are no more lines
    assert moment > 100


def test_a_signal_on_the_way_is_never_lost(tmp_path: Path) -> None:
    """At each line that runs until the locks are free again; nothing is closed twice for it.

    In a process of its own: a trace that raises in an `except` of contextlib leaves that
    exception as the thread's current one (CPython 3.11), and each later one gets it as context.
    """
    child = Process(target=_interrupt_every_line, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == 0


def test_an_interrupted_wait_holds_nothing(codex_home: Path) -> None:
    """Ctrl-C while waiting for the second lock releases the first."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with (
        hold(codex_home / SECOND),
        pytest.raises(KeyboardInterrupt),
        codex_locks(CodexHome(str(codex_home)), sleep=interrupt),
    ):
        raise AssertionError("it went on without the lock")
    assert not is_held(codex_home / FIRST)


def _count(home: CodexHome, counter: Path, times: int) -> None:
    """Add to a number in a file, in a way that loses counts without a lock."""
    for _ in range(times):
        with codex_locks(home, sleep=lambda _: time.sleep(0)):
            number = int(counter.read_text())
            time.sleep(0)
            counter.write_text(str(number + 1))


def test_processes_exclude_each_other(home: CodexHome, tmp_path: Path) -> None:
    """Four processes count in one file at once, and no count is lost."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    children = [Process(target=_count, args=(home, counter, 50)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert counter.read_text() == "200"


# What else can lie in a lock file's place.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["a folder", "a link to itself", "a dangling link"])
def test_what_is_no_file_is_named(case: str, name: str, tmp_path: Path) -> None:
    """By the probe, too, as the lock and not as auth.json; nothing is made elsewhere."""
    NO_FILES[case](tmp_path / name)
    for work in (lambda: check_writable(CodexHome(str(tmp_path))), lambda: _take(tmp_path)):
        with pytest.raises(
            LocalTrouble, match=rf"[/\\]{name} cannot be opened to lock it: "
        ) as caught:
            work()
        assert caught.value.error == "store_failed"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_does_not_hang(name: str) -> None:
    """Opening it waits for no writer, even where it may only be read."""
    with public_folder() as folder:
        os.mkfifo(folder / name)
        (folder / name).chmod(0o444)
        assert within(5, lambda: _take(folder)) == "in"
        assert as_user(NOBODY, lambda: within(5, lambda: _take(folder))) == "in"


def test_a_folder_that_takes_no_locks() -> None:
    """Where none can be made, nobody holds one: it goes on at once."""
    with public_folder() as folder:
        folder.chmod(0o555)
        assert as_user(NOBODY, lambda: _take(folder)) == "in"
        assert not list(folder.iterdir())
        folder.chmod(0o755)


def test_a_lock_that_may_only_be_read_is_waited_for() -> None:
    """Reading is enough to see that another user's program holds it."""
    with public_folder() as folder:
        holder = hold(folder / FIRST)
        (folder / FIRST).chmod(0o444)
        folder.chmod(0o555)
        said = as_user(NOBODY, lambda: _take(folder))
        assert said.startswith("LocalTrouble: Another program has held")
        holder.close()
        assert as_user(NOBODY, lambda: _take(folder)) == "in"
        folder.chmod(0o755)


@needs_root
def test_a_lock_that_may_not_even_be_read_is_passed_over() -> None:
    """What root left behind keeps nobody out of their own folder."""
    with public_folder(NOBODY) as folder:
        (folder / FIRST).touch(0o600)
        assert as_user(NOBODY, lambda: _take(folder)) == "in"


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF]
)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock here")
def test_a_file_system_without_locks(number: int, home: CodexHome) -> None:
    """On NFS without its lock service, or on FUSE, nobody can hold a lock: it goes on."""

    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    with codex_locks(home, sleep=_never, try_lock=partial(try_lock, flock=refuse)):
        pass
