"""Killed at any moment: each step that touches the Codex folder is tried as the last one."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.two_calls import PENDING, answered, begin, exchanges, finish, records

# Ends itself as by kill -9 at the n-th step that names the folder; the interpreter tells each.
KILLED = """
import os, signal, sys
folder, left = sys.argv[1], int(sys.argv[2])
OURS = (".json", ".lock", ".used", ".expired")  # by name alone, in a folder that is open

def watch(event, details):
    global left
    paths = [os.fsdecode(detail) for detail in details if isinstance(detail, (str, bytes))]
    if any(folder in path or path.endswith(OURS) or path.startswith(".auth-") for path in paths):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

from headless_login.cli import main
sys.addaudithook(watch)
os._exit(main(sys.argv[3:]))
"""
OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
MOST = 80  # steps; far more than there are


def _run(
    step: int, codex_home: Path, environ: dict[str, str], *words: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command that does not survive its step of that number, if it has so many."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(codex_home), str(step), *words],
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _assert_private(codex_home: Path) -> None:
    for path in codex_home.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_start_killed_at_every_step(
    environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """Whatever was printed can be finished, all is private, and the next one works."""
    for step in range(MOST):
        shutil.rmtree(codex_home / PENDING, ignore_errors=True)
        done = _run(step, codex_home, environ, "login", "start")
        _assert_private(codex_home)
        if done.stdout:
            assert finish(environ, approve(done.stdout.splitlines()[0])).exit_code == 0
            (codex_home / "auth.json").unlink()
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
    assert 5 < step < MOST - 1
    assert finish(environ, approve(begin(environ))).exit_code == 0
    assert exchanges(issuer) == 2


@pytest.mark.parametrize("kind", ["answer", "refusal"])
def test_finish_killed_at_every_step(
    kind: str, environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """The old sign-in or the new one, whole; what the issuer was not asked can be finished."""
    for step in range(MOST):
        (codex_home / "auth.json").write_bytes(OLD)
        (codex_home / "auth.json").chmod(0o600)
        before = exchanges(issuer)
        answer = answered(environ)
        if kind == "refusal":
            answer = f"{answer.split('code=')[0]}error=access_denied&state={_state(answer)}"
        done = _run(step, codex_home, environ, "login", "finish", "-", stdin=answer)
        was_asked = exchanges(issuer) > before
        _assert_private(codex_home)
        content = (codex_home / "auth.json").read_bytes()
        assert content == OLD or json.loads(content)["auth_mode"] == "chatgpt"
        again = finish(environ, answer)
        if done.returncode != -9:
            assert done.returncode == (0 if kind == "answer" else 3), done.stderr
            break
        finishable = kind == "answer" and not was_asked
        assert again.exit_code == (0 if finishable else 3), again.err
    assert 6 < step < MOST - 1


def _state(answer: str) -> str:
    return answer.split("state=")[1].split("&")[0]


def test_what_a_killed_start_left_is_thrown_away(environ: dict[str, str], codex_home: Path) -> None:
    """Half a file has no name that anybody looks for, and goes with time."""
    for step in range(MOST):
        for path in records(codex_home):
            path.unlink()
        if _run(step, codex_home, environ, "login", "start").returncode == 0:
            break
    left = [path for path in (codex_home / PENDING).iterdir() if path.suffix != ".json"]
    assert left, "the kills have left nothing: they came too late"
    for path in left:
        os.utime(path, (1, 1))
    begin(environ)
    assert not [path for path in left if path.exists()]
