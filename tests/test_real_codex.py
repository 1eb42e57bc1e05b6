"""The real Codex, of now and of old: it reads what we write, and we read what it writes."""

from __future__ import annotations

import fcntl
import json
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks, lock_files
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.codex import (
    CODEX_VERSIONS,
    AppServer,
    codex_environment,
    require_codex,
    run_codex,
)
from tests.support.machine import in_namespace
from tests.support.program import COMMAND, Piped, environment, run
from tests.support.two_calls import answered, finish, records

NEWEST = CODEX_VERSIONS[0]
KEY = "sk-proj-practice-0123456789abcdefghij"
OTHER_KEY = "sk-proj-another-0123456789abcdefghij"


def _sign_in(environ: dict[str, str]) -> None:
    """Sign in by paste, with the person in another place."""
    with Piped("login", "--paste-redirect", environ=environ) as program:
        outcome = program.finish(approve(program.read_url()) + "\n")
    assert outcome.exit_code == 0, outcome.err


def _read(codex_home: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((codex_home / "auth.json").read_text())
    return document


def _status(codex_home: Path) -> dict[str, Any]:
    outcome = run("login", "status", "--json", environ=environment(codex_home, None))
    assert outcome.exit_code == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codex_is_signed_in_with_chatgpt(
    version: str, environ: dict[str, str], codex_home: Path
) -> None:
    """What `login --paste-redirect` leaves behind is a sign-in for Codex."""
    require_codex(version)
    _sign_in(environ)
    before = (codex_home / "auth.json").read_bytes()
    asked = run_codex(version, "login", "status", codex_home=codex_home)
    assert asked.returncode == 0
    assert "Logged in using ChatGPT" in asked.stdout + asked.stderr
    assert (codex_home / "auth.json").read_bytes() == before


@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codex_never_meets_what_is_pending(
    version: str, environ: dict[str, str], codex_home: Path
) -> None:
    """Between `login start` and `login finish` Codex works as ever, and leaves it alone."""
    require_codex(version)
    answer = answered(environ)
    (pending,) = records(codex_home)
    before = pending.read_bytes()
    asked = run_codex(version, "login", "status", codex_home=codex_home)
    assert asked.returncode == 1
    assert "Not logged in" in asked.stdout + asked.stderr
    assert pending.read_bytes() == before
    assert finish(environ, answer).exit_code == 0
    asked = run_codex(version, "login", "status", codex_home=codex_home)
    assert "Logged in using ChatGPT" in asked.stdout + asked.stderr


@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codex_is_signed_in_with_a_key(version: str, codex_home: Path) -> None:
    """What `login --with-api-key` leaves behind is that key for Codex."""
    require_codex(version)
    stored = run("login", "--with-api-key", environ=environment(codex_home, None), stdin=KEY)
    assert stored.exit_code == 0, stored.err
    asked = run_codex(version, "login", "status", codex_home=codex_home)
    assert asked.returncode == 0
    said = asked.stdout + asked.stderr
    assert "API key" in said
    assert KEY[:8] in said
    assert KEY not in said


@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codex_is_signed_out(version: str, environ: dict[str, str], codex_home: Path) -> None:
    """After our `logout` Codex has no sign-in left."""
    require_codex(version)
    _sign_in(environ)
    assert run("logout", environ=environ).exit_code == 0
    asked = run_codex(version, "login", "status", codex_home=codex_home)
    assert asked.returncode == 1
    assert "Not logged in" in asked.stdout + asked.stderr


def test_codex_is_signed_out_of_a_mounted_file(codex_home: Path) -> None:
    """A mounted file cannot be removed; what our `logout` leaves in it is no sign-in to Codex."""
    require_codex(NEWEST)
    (codex_home / "auth.json").write_bytes(Credentials.api_key(KEY).content)
    script = 'mount --bind "$1/auth.json" "$1/auth.json"\n"$2" logout'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert "is gone" in done.stderr
    assert KEY not in (codex_home / "auth.json").read_text()
    asked = run_codex(NEWEST, "login", "status", codex_home=codex_home)
    assert asked.returncode == 1
    assert "missing a key" in asked.stdout + asked.stderr


def test_codex_refreshes_our_tokens(
    issuer: PracticeIssuer, environ: dict[str, str], codex_home: Path
) -> None:
    """Codex takes issuer and client from our file, gets new tokens there, and we read those."""
    require_codex(NEWEST)
    _sign_in(environ)
    ours = _read(codex_home)
    with AppServer(codex_home) as server:
        answered = server.get_auth_status()
    codexs = _read(codex_home)
    assert answered["authMethod"] == "chatgpt"
    assert answered["authToken"] == codexs["tokens"]["access_token"]
    for name in ("access_token", "refresh_token"):
        assert codexs["tokens"][name] != ours["tokens"][name]
    assert codexs["last_refresh"] != ours["last_refresh"]
    assert codexs["tokens"]["oauth_provenance"] == ours["tokens"]["oauth_provenance"]
    assert codexs["tokens"]["login_owner_id"] == ours["tokens"]["login_owner_id"]
    asked = [each.form()["grant_type"] for each in issuer.requests if each.path == "/oauth/token"]
    assert asked == ["authorization_code", "refresh_token"]

    told = _status(codex_home)
    assert told["signed_in"] is True
    assert told["mode"] == "chatgpt"
    assert told["account_id"] == ours["tokens"]["account_id"]
    assert told["refresh_token"] == "present"


def test_a_sign_in_after_codexs_refresh_replaces_it(
    environ: dict[str, str], codex_home: Path
) -> None:
    """Ours, Codex's refresh, ours again, Codex's refresh again: each takes the other's file."""
    require_codex(NEWEST)
    seen = set()
    for _ in range(2):
        _sign_in(environ)
        seen.add(_read(codex_home)["tokens"]["access_token"])
        with AppServer(codex_home) as server:
            seen.add(server.get_auth_status()["authToken"])
    assert len(seen) == 4
    assert _read(codex_home)["tokens"]["access_token"] in seen


def test_the_file_is_codexs_own(codex_home: Path, tmp_path: Path) -> None:
    """For the same key, Codex and we write the same document, with the same mode."""
    require_codex(NEWEST)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    assert (
        run_codex(NEWEST, "login", "--with-api-key", codex_home=theirs, stdin=KEY).returncode == 0
    )
    ours = run("login", "--with-api-key", environ=environment(codex_home, None), stdin=KEY)
    assert ours.exit_code == 0
    assert _read(codex_home) == _read(theirs)
    assert (codex_home / "auth.json").read_bytes() == (theirs / "auth.json").read_bytes()
    assert _modes(codex_home)["auth.json"] == _modes(theirs)["auth.json"] == 0o600
    assert _modes(codex_home).keys() <= _modes(theirs).keys()


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}


@contextmanager
def _codex_storing(codex_home: Path, key: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Codex's `login --with-api-key`, which takes both locks and writes."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [require_codex(NEWEST), "login", "--with-api-key"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=codex_environment(codex_home, Path(home)),
        )
        try:
            assert process.stdin
            process.stdin.write(key.encode())
            process.stdin.close()
            yield process
        finally:
            process.kill()
            process.wait()


def _until(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def _is_held(path: Path) -> bool:
    """Tell whether another program holds a lock."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("linked", [False, True], ids=["a file", "a link"])
def test_codex_waits_for_us(linked: bool, codex_home: Path, tmp_path: Path) -> None:
    """While we hold the locks Codex writes nothing; then it does."""
    auth_file = _auth_file(codex_home, tmp_path, linked)
    with ExitStack() as stack:
        with codex_locks(CodexHome(str(codex_home))):
            codex = stack.enter_context(_codex_storing(codex_home, KEY))
            with pytest.raises(subprocess.TimeoutExpired):
                codex.wait(1)
            assert not auth_file.exists()
        assert codex.wait(10) == 0
    assert json.loads(auth_file.read_text())["OPENAI_API_KEY"] == KEY


@pytest.mark.parametrize("linked", [False, True], ids=["a file", "a link"])
def test_codex_waits_for_our_second_lock_alone(
    linked: bool, codex_home: Path, tmp_path: Path
) -> None:
    """The lock beside the file is the one that Codex means, wherever a link leads."""
    auth_file = _auth_file(codex_home, tmp_path, linked)
    with ExitStack() as stack:
        with _held(lock_files(CodexHome(str(codex_home)))[1]):
            codex = stack.enter_context(_codex_storing(codex_home, KEY))
            _until(lambda: _is_held(codex_home / "auth.lock"))
            with pytest.raises(subprocess.TimeoutExpired):
                codex.wait(0.5)
            assert not auth_file.exists()
        assert codex.wait(10) == 0
    assert json.loads(auth_file.read_text())["OPENAI_API_KEY"] == KEY


@pytest.mark.parametrize("linked", [False, True], ids=["a file", "a link"])
def test_we_wait_for_codex(linked: bool, codex_home: Path, tmp_path: Path) -> None:
    """While Codex is in the middle of writing, we wait and say so; then ours comes last."""
    auth_file = _auth_file(codex_home, tmp_path, linked)
    with ExitStack() as stack:
        with _held(lock_files(CodexHome(str(codex_home)))[1]):  # keeps Codex in the middle
            codex = stack.enter_context(_codex_storing(codex_home, KEY))
            _until(lambda: _is_held(codex_home / "auth.lock"))
            arguments = ("login", "--with-api-key")
            ours = stack.enter_context(Piped(*arguments, environ=environment(codex_home, None)))
            ours.send(OTHER_KEY)
            ours.read_until("Waiting for another program, probably Codex")
            assert not auth_file.exists()
        assert codex.wait(10) == 0  # it got its write done: nobody took the lock from it
        assert ours.finish().exit_code == 0
    assert json.loads(auth_file.read_text())["OPENAI_API_KEY"] == OTHER_KEY


@contextmanager
def _held(path: str) -> Iterator[None]:
    """Hold a lock as another program would."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _auth_file(codex_home: Path, tmp_path: Path, linked: bool) -> Path:
    """Return where auth.json will be: in the folder, or at the end of a link."""
    if not linked:
        return codex_home / "auth.json"
    target = tmp_path / "elsewhere" / "creds.v1.txt"
    target.parent.mkdir()
    (codex_home / "auth.json").symlink_to(target)
    return target
