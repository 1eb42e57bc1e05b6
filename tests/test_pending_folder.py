"""The folder of the pending sign-ins: what is planted there, swapped, left over, or killed for."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.codex.pending.record import identifier_of
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.practice.person import approve
from tests.support.machine import KILLED_BY, NOBODY, has_mode, needs_root, public_folder
from tests.support.program import Outcome, assert_ended, event_in
from tests.support.stored_files import OLD
from tests.support.two_calls import FINISH, LOST, PENDING, START, Pending, TwoCalls, aged, resealed


def _huge(path: Path) -> None:
    path.touch(0o600)
    os.truncate(path, 10**10)


def _written(content: bytes) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.touch(0o600)
        path.write_bytes(content)

    return plant


PLANTED: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path, 0o600),
    "folder": lambda path: path.mkdir(mode=0o700),
    "huge": _huge,
    "empty": _written(b""),
    "zeros": _written(b"\0" * 5000),
    "nested": _written(b"[" * 200_000),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "circle": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("/nonexistent/x"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_stands_in_a_records_place_is_refused(kind: str, calls: TwoCalls) -> None:
    """Whatever it is, the answer is refused, nobody is asked and nothing is written."""
    calls.auth_file.write_bytes(OLD)
    answer = calls.answered()
    (record,) = calls.records
    record.unlink()
    PLANTED[kind](record)
    assert event_in(calls.run(*FINISH, answer, "--json")) == LOST
    assert calls.auth_file.read_bytes() == OLD
    assert calls.exchanges == 0
    assert_ended(calls.run(*START), 0)


def test_a_used_sign_in_stays_used_when_its_file_comes_back(calls: TwoCalls) -> None:
    """A kill between mark and removal, or a restored backup, does not ask the issuer twice."""
    answer = calls.answered()
    (record,) = calls.records
    content = record.read_bytes()
    assert_ended(calls.finish(answer), 0)
    _written(content)(record)
    assert_ended(calls.finish(answer), 3, "used up")
    assert calls.exchanges == 1


def test_a_pipe_in_the_place_of_a_mark_holds_nobody_up(calls: TwoCalls) -> None:
    """Marking a sign-in as used waits for no other program, least of all with signals held."""
    answer = calls.answered()
    os.mkfifo(calls.records[0].with_suffix(".used"), 0o600)
    assert calls.run(*FINISH, answer).exit_code in (0, 3, 6)


def test_a_link_in_the_place_of_a_mark_is_not_followed(tmp_path: Path, calls: TwoCalls) -> None:
    """Nothing is made outside: where root works in a user's home that could be /etc/nologin."""
    answer = calls.answered()
    calls.records[0].with_suffix(".used").symlink_to(tmp_path / "nologin")
    calls.finish(answer)
    assert not (tmp_path / "nologin").exists()


@needs_root
def test_everything_in_a_users_folder_is_the_users(calls: TwoCalls) -> None:
    """Root begins and finishes in another user's home, and leaves no file of its own there."""
    with public_folder(NOBODY) as folder:
        calls = TwoCalls(folder, calls.issuer)
        calls.begin()
        assert_ended(calls.finish(calls.answered()), 0)
        for path in folder.rglob("*"):
            assert path.lstat().st_uid == NOBODY, path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with an old file, to which a link in the place of ours leads."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    (folder / "daemon.json").touch()
    aged(folder / "daemon.json", 30)
    return folder


@pytest.mark.parametrize("words", [("logout",), START, (*FINISH, "x")])
def test_a_link_in_the_folders_place_leads_nobody_elsewhere(
    words: tuple[str, ...], elsewhere: Path, calls: TwoCalls
) -> None:
    """No command removes or makes a file in the folder that such a link names."""
    (calls.home / PENDING).symlink_to(elsewhere)
    calls.run(*words)
    assert [path.name for path in elsewhere.iterdir()] == ["daemon.json"]


# Puts a link into the folder's place after it was looked at, as its owner can while root works.
SWAP = """
import os, sys
folder, other, swapped = sys.argv[1], sys.argv[2], []

def swap(event, details):
    is_it = details and (details[0] == folder or isinstance(details[0], int))
    if event in ("os.listdir", "os.scandir") and is_it and not swapped:
        swapped.append(True)
        os.rename(folder, folder + ".away")
        os.symlink(other, folder)

from headless_login.cli import main
sys.addaudithook(swap)
os._exit(main(["login", "start"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no root works in the folders of others there")
def test_a_folder_that_is_swapped_meanwhile_leads_nobody_elsewhere(
    elsewhere: Path, calls: TwoCalls
) -> None:
    """`start` throws away and makes files in the folder that it has looked at, or nowhere."""
    calls.begin()
    with calls.piped(str(elsewhere), command=_python(SWAP, str(calls.home / PENDING))) as piped:
        piped.finish()
    assert (calls.home / PENDING).is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["daemon.json"]


def _python(script: str, *words: str) -> tuple[str, ...]:
    return sys.executable, "-c", script, *words


def test_a_clock_that_is_put_right_throws_nothing_away(calls: TwoCalls) -> None:
    """Begun when the clock was days behind (no battery), it survives the next `start`."""
    answer = calls.answered()
    for path in (calls.home / PENDING).iterdir():
        aged(path)
    calls.begin()
    assert_ended(calls.finish(answer), 0)


def test_a_folder_of_another_kind_is_named(calls: TwoCalls) -> None:
    """A file or a pipe in its place: `start` says so (6), `finish` has nothing pending (3)."""
    makers: list[Callable[[Path], object]] = [Path.touch, os.mkfifo]
    for make in makers[: 1 if sys.platform == "win32" else 2]:
        make(calls.home / PENDING)
        assert event_in(calls.run(*START, "--json")) == (6, "store_failed")
        assert event_in(calls.run(*FINISH, "--json", "?code=x")) == LOST
        (calls.home / PENDING).unlink()
    assert not calls.issuer.requests


def test_one_among_a_thousand_is_found(calls: TwoCalls) -> None:
    """However many are pending, the answer finds its own, and all of them are still there."""
    answer = calls.answered()
    (record,) = calls.records
    document = json.loads(record.read_bytes())
    for _ in range(1000):
        request = AuthorizationRequest(CODEX)
        document["awaits"] |= {"state": request.state, "verifier": request.verifier}
        _written(resealed(document))(record.with_stem(identifier_of(request.state)))
    assert len(Pending(calls.home).waiting()) == 1001
    assert_ended(calls.finish(answer), 0)
    assert len(calls.records) == 1000


# Ends itself as by kill -9 at the n-th step that names the folder; the interpreter tells each.
KILLED = """
import os, signal, sys
folder, left = sys.argv[1], int(sys.argv[2])
PATHS = str if sys.platform == "win32" else (str, bytes)  # bytes are others' data there
OURS = (".json", ".lock", ".used", ".expired", ".new")  # by name alone, in a folder that is open

def watch(event, details):
    global left
    paths = [os.fsdecode(detail) for detail in details if isinstance(detail, PATHS)]
    if any(folder in path or path.endswith(OURS) or path.startswith(".auth-") for path in paths):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)

from headless_login.cli import main
sys.addaudithook(watch)
os._exit(main(sys.argv[3:]))
"""
MOST = 80  # steps; far more than there are
STRIDE = 5 if sys.platform == "win32" else 1  # programs take seconds to start under Wine


def _killed(
    step: int, calls: TwoCalls, *words: str, stdin: str = "", script: str = KILLED
) -> Outcome:
    """Run a command that does not survive its step of that number, if it has so many."""
    command = _python(script, str(calls.home), str(step))
    with calls.piped(*words, command=command) as piped:
        outcome = piped.finish(stdin)
    for path in calls.home.rglob("*"):
        assert has_mode(path, 0o700 if path.is_dir() else 0o600), path
    return outcome


@pytest.mark.timeout(600)
def test_start_killed_at_every_step(calls: TwoCalls) -> None:
    """Whatever was printed can be finished, all is private, and the next one works."""
    for step in range(MOST):
        shutil.rmtree(calls.home / PENDING, ignore_errors=True)
        outcome = _killed(step, calls, *START)
        if outcome.out:
            assert_ended(calls.finish(approve(outcome.out.splitlines()[0])), 0)
            calls.auth_file.unlink()
        if outcome.exit_code == 0:
            break
        assert_ended(outcome, KILLED_BY)
    assert 5 < step < MOST - 1
    assert_ended(calls.finish(calls.answered()), 0)
    assert calls.exchanges == 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_finish_killed_at_every_step(decision: str, calls: TwoCalls) -> None:
    """The old sign-in or the new one, whole; what the issuer was not asked can be finished."""
    ends = 0 if decision == "approve" else 3
    for step in range(0, MOST, STRIDE):
        # What earlier sign-ins left would make each later one longer.
        shutil.rmtree(calls.home / PENDING, ignore_errors=True)
        _written(OLD)(calls.auth_file)
        before = calls.exchanges
        answer = approve(calls.begin(), decision=decision)
        outcome = _killed(step, calls, *FINISH, "-", stdin=answer)
        was_asked = calls.exchanges > before
        content = calls.auth_file.read_bytes()
        assert content == OLD or json.loads(content)["auth_mode"] == "chatgpt"
        again = calls.finish(answer)
        if outcome.exit_code != KILLED_BY:
            assert_ended(outcome, ends)
            break
        assert_ended(again, 3 if was_asked else ends)
    assert 6 < step < MOST - 1


def _half(calls: TwoCalls, script: str) -> Path | None:
    """Kill `start` step by step until it leaves a verifier in what is no record."""
    for step in range(MOST):
        exit_code = _killed(step, calls, *START, script=script).exit_code
        for path in (calls.home / PENDING).glob("*"):
            if path.suffix != ".json" and "verifier" in path.read_text():
                return path
        if exit_code == 0:
            break
    return None


@pytest.mark.parametrize("cleaner", [START, ("logout",)])
def test_what_a_killed_start_left_is_thrown_away(cleaner: tuple[str, ...], calls: TwoCalls) -> None:
    """Where a file needs a name from its start, half a record is gone after the next command."""
    named = "from headless_login.codex import files; files._UNNAMED = 0\n"
    half = _half(calls, named + KILLED)
    assert half, "the kills came too late"
    assert_ended(calls.run(*cleaner), 0)
    assert not half.exists()


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="every file needs a name here")
def test_a_killed_start_leaves_no_half(calls: TwoCalls) -> None:
    """A record has no name before it is whole."""
    assert _half(calls, KILLED) is None
