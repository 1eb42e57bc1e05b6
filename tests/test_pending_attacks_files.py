"""Attacks on the folder of the pending sign-ins: what is planted there, swapped, or left over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from headless_login.codex.pending.record import identifier_of
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.practice.issuer import PracticeIssuer
from tests.support.machine import NOBODY, needs_root, public_folder
from tests.support.program import environment, run
from tests.support.two_calls import (
    FINISH,
    PENDING,
    START,
    Pending,
    answered,
    begin,
    events_in,
    exchanges,
    finish,
    records,
    resealed,
)

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
DAYS = 86400.0


def _aged(path: Path, seconds: float) -> None:
    """Have a file look so much older, as after a clock that was wrong has been put right."""
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def _huge(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(10**10)
    path.chmod(0o600)


def _written(content: bytes) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(0o600)

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
def test_what_stands_in_a_records_place_is_refused(
    kind: str, environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """Whatever it is, the answer is refused at once, nobody is asked and nothing is written."""
    (codex_home / "auth.json").write_bytes(OLD)
    answer = answered(environ)
    (record,) = records(codex_home)
    record.unlink()
    PLANTED[kind](record)
    outcome = run(*FINISH, answer, "--json", environ=environ, timeout=10)
    (event,) = events_in(outcome.out)
    assert (event["error"], outcome.exit_code) == ("no_pending_login", 3)
    assert (codex_home / "auth.json").read_bytes() == OLD
    assert exchanges(issuer) == 0
    assert run(*START, environ=environ, timeout=10).exit_code == 0


def test_a_used_sign_in_stays_used_when_its_file_comes_back(
    environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """A kill between mark and removal, or a restored backup, does not ask the issuer twice."""
    answer = answered(environ)
    (record,) = records(codex_home)
    content = record.read_bytes()
    assert finish(environ, answer).exit_code == 0
    record.write_bytes(content)
    record.chmod(0o600)
    assert "used up" in finish(environ, answer).err
    assert exchanges(issuer) == 1


def test_a_pipe_in_the_place_of_a_mark_holds_nobody_up(
    environ: dict[str, str], codex_home: Path
) -> None:
    """Marking a sign-in as used waits for no other program, least of all with signals held."""
    answer = answered(environ)
    (record,) = records(codex_home)
    os.mkfifo(record.with_suffix(".used"), 0o600)
    with suppress(subprocess.TimeoutExpired):
        outcome = run(*FINISH, answer, environ=environ, timeout=6)
        assert outcome.exit_code in (0, 3, 6)
        return
    pytest.fail("it hangs")


def test_a_link_in_the_place_of_a_mark_is_not_followed(
    environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """Nothing is made outside: where root works in a user's home that could be /etc/nologin."""
    answer = answered(environ)
    (record,) = records(codex_home)
    record.with_suffix(".used").symlink_to(tmp_path / "nologin")
    finish(environ, answer)
    assert not (tmp_path / "nologin").exists()


@needs_root
def test_everything_in_a_users_folder_is_the_users(issuer: PracticeIssuer) -> None:
    """Root begins and finishes in another user's home, and leaves no file of its own there."""
    with public_folder(NOBODY) as folder:
        environ = environment(folder, issuer.issuer)
        begin(environ)
        assert finish(environ, answered(environ)).exit_code == 0
        for path in folder.rglob("*"):
            assert path.lstat().st_uid == NOBODY, path


@pytest.mark.parametrize("words", [("logout",), START, (*FINISH, "x")])
def test_a_link_in_the_folders_place_leads_nobody_elsewhere(
    words: tuple[str, ...], environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """No command removes or makes a file in the folder that such a link names."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "daemon.json").write_text("{}")
    _aged(other / "daemon.json", 30 * DAYS)
    (codex_home / PENDING).symlink_to(other)
    run(*words, environ=environ)
    assert [path.name for path in other.iterdir()] == ["daemon.json"]


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


def test_a_folder_that_is_swapped_meanwhile_leads_nobody_elsewhere(
    environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """`start` throws away and makes files in the folder that it has looked at, or nowhere."""
    begin(environ)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "shadow").touch()
    _aged(other / "shadow", 30 * DAYS)
    command = [sys.executable, "-c", SWAP, str(codex_home / PENDING), str(other)]
    subprocess.run(command, env=environ, capture_output=True, timeout=30, check=False)
    assert [path.name for path in other.iterdir()] == ["shadow"]


def test_a_clock_that_is_put_right_throws_nothing_away(
    environ: dict[str, str], codex_home: Path
) -> None:
    """Begun when the clock was days behind (no battery), it survives the next `start`."""
    answer = answered(environ)
    for path in (codex_home / PENDING).iterdir():
        _aged(path, 3 * DAYS)
    begin(environ)
    assert finish(environ, answer).exit_code == 0


# Ends itself as by kill -9 when the half-written record is about to get its name.
KILLED = """
import os, signal, sys
from headless_login.cli import main

def watch(event, details):
    if event == "os.rename":
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
os._exit(main(["login", "start"]))
"""


def test_logout_leaves_no_secret_of_a_killed_start(
    environ: dict[str, str], codex_home: Path
) -> None:
    """Half a record holds a verifier, too: it goes with what else was pending."""
    command = [sys.executable, "-c", KILLED]
    assert subprocess.run(command, env=environ, capture_output=True, check=False).returncode == -9
    assert list((codex_home / PENDING).iterdir()), "it was killed too early"
    assert run("logout", environ=environ).exit_code == 0
    left = [path for path in codex_home.rglob("*") if path.is_file()]
    assert not [path for path in left if "verifier" in path.read_text()]


def test_a_folder_of_another_kind_is_named(
    environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """A file or a pipe in its place: `start` says so (6), `finish` has nothing pending (3)."""
    makers: list[Callable[[Path], object]] = [Path.touch, os.mkfifo]
    for make in makers:
        make(codex_home / PENDING)
        started = run(*START, "--json", environ=environ, timeout=10)
        assert (events_in(started.out)[0]["error"], started.exit_code) == ("store_failed", 6)
        finished = run(*FINISH, "--json", "?code=x", environ=environ, timeout=10)
        assert (events_in(finished.out)[0]["error"], finished.exit_code) == ("no_pending_login", 3)
        (codex_home / PENDING).unlink()
    assert not issuer.requests


def test_a_thousand_pending_are_no_burden(environ: dict[str, str], codex_home: Path) -> None:
    """The right one is found among them within seconds."""
    pending = Pending(codex_home)
    answer = answered(environ)
    (record,) = records(codex_home)
    document = json.loads(record.read_bytes())
    for _ in range(1000):
        request = AuthorizationRequest(CODEX)
        document["awaits"] |= {"state": request.state, "verifier": request.verifier}
        name = identifier_of(request.state)
        file = codex_home / PENDING / f"{name}.json"
        file.write_bytes(resealed(document))
        file.chmod(0o600)
    assert len(pending.waiting()) == 1001
    before = time.monotonic()
    assert finish(environ, answer).exit_code == 0
    assert time.monotonic() - before < 10
    shutil.rmtree(codex_home / PENDING)
