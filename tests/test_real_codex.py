"""The real Codex, of now and of old: it reads what we write, and we read what it writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.codex import CODEX_VERSIONS, NEWEST, refreshed_by_codex, run_codex, running_codex
from tests.support.machine import has_mode, hold, in_namespace, is_held
from tests.support.program import COMMAND, Piped, Variables, environment, run, until
from tests.support.two_calls import TwoCalls

KEY = "sk-proj-practice-0123456789abcdefghij"
OTHER_KEY = "sk-proj-another-0123456789abcdefghij"
every_version = pytest.mark.parametrize("version", CODEX_VERSIONS)


def _sign_in(environ: Variables) -> None:
    with Piped("login", "--paste-redirect", environ=environ) as program:
        outcome = program.finish(approve(program.read_url()) + "\n")
    assert outcome.exit_code == 0, outcome.err


def _read(codex_home: Path) -> dict[str, Any]:
    return dict(json.loads((codex_home / "auth.json").read_text()))


def _codex_says(version: str, codex_home: Path, *, signed_in: bool) -> str:
    """Return what Codex says of a sign-in, after a look at its exit code."""
    exit_code, said = run_codex(version, "login", "status", codex_home=codex_home)
    assert exit_code == (0 if signed_in else 1), said
    return said


@every_version
def test_codex_is_signed_in_and_out(version: str, calls: TwoCalls) -> None:
    """What `finish` leaves is a sign-in to Codex, until `logout`; what is pending is none."""
    answer = calls.answered()
    (pending,) = calls.records
    before = pending.read_bytes()
    assert "Not logged in" in _codex_says(version, calls.home, signed_in=False)
    assert pending.read_bytes() == before
    assert calls.finish(answer).exit_code == 0
    stored = calls.auth_file.read_bytes()
    assert "Logged in using ChatGPT" in _codex_says(version, calls.home, signed_in=True)
    assert calls.auth_file.read_bytes() == stored
    assert calls.run("logout").exit_code == 0
    assert "Not logged in" in _codex_says(version, calls.home, signed_in=False)


@every_version
def test_codex_is_signed_in_with_a_key(version: str, codex_home: Path) -> None:
    stored = run("login", "--with-api-key", environ=environment(codex_home, None), stdin=KEY)
    assert stored.exit_code == 0, stored.err
    said = _codex_says(version, codex_home, signed_in=True)
    assert "API key" in said
    assert KEY[:8] in said
    assert KEY not in said


def test_codex_is_signed_out_of_a_mounted_file(codex_home: Path) -> None:
    """A mounted file cannot be removed; what our `logout` leaves in it is no sign-in to Codex."""
    (codex_home / "auth.json").write_bytes(Credentials.api_key(KEY).content)
    script = 'mount --bind "$1/auth.json" "$1/auth.json"\n"$2" logout'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert "is gone" in done.stderr
    assert KEY not in (codex_home / "auth.json").read_text()
    assert "missing a key" in _codex_says(NEWEST, codex_home, signed_in=False)


def test_codex_refreshes_ours(issuer: PracticeIssuer, environ: Variables, codex_home: Path) -> None:
    """Codex takes issuer and client from our file and refreshes it; we read and replace it."""
    _sign_in(environ)
    ours = _read(codex_home)
    said = refreshed_by_codex(codex_home)
    codexs = _read(codex_home)
    assert said["authMethod"] == "chatgpt"
    assert said["authToken"] == codexs["tokens"]["access_token"]
    for name in ("access_token", "refresh_token"):
        assert codexs["tokens"][name] != ours["tokens"][name]
    assert codexs["last_refresh"] != ours["last_refresh"]
    for name in ("oauth_provenance", "login_owner_id"):
        assert codexs["tokens"][name] == ours["tokens"][name]
    asked = [each.form()["grant_type"] for each in issuer.requests if each.path == "/oauth/token"]
    assert asked == ["authorization_code", "refresh_token"]
    told = json.loads(run("login", "status", "--json", environ=environment(codex_home, None)).out)
    expected = {"signed_in": True, "mode": "chatgpt", "refresh_token": "present"}
    assert told | expected | {"account_id": ours["tokens"]["account_id"]} == told
    _sign_in(environ)
    again = _read(codex_home)["tokens"]["access_token"]
    last = refreshed_by_codex(codex_home)["authToken"]
    assert len({ours["tokens"]["access_token"], said["authToken"], again, last}) == 4
    assert _read(codex_home)["tokens"]["access_token"] == last


def test_the_file_is_codexs_own(codex_home: Path, tmp_path: Path) -> None:
    """For the same key, Codex and we write the same document, with the same mode."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    arguments = ("login", "--with-api-key")
    assert run_codex(NEWEST, *arguments, codex_home=theirs, stdin=KEY)[0] == 0
    assert run(*arguments, environ=environment(codex_home, None), stdin=KEY).exit_code == 0
    assert (codex_home / "auth.json").read_bytes() == (theirs / "auth.json").read_bytes()
    for folder in (codex_home, theirs):
        assert has_mode((folder / "auth.json"), 0o600)
    assert {path.name for path in codex_home.iterdir()} <= {path.name for path in theirs.iterdir()}


@contextmanager
def _codex_storing(codex_home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run Codex's `login --with-api-key`, which takes both locks and writes."""
    with running_codex(codex_home, "login", "--with-api-key") as process:
        assert process.stdin
        process.stdin.write(KEY)
        process.stdin.close()
        yield process


def _second_lock(auth_file: Path) -> Path:
    """Return the lock beside the file itself (codex-facts.md §6)."""
    return auth_file.with_name(f"{auth_file.stem}.json.lock")


@pytest.fixture(params=["a file", "a link"])
def auth_file(request: pytest.FixtureRequest, codex_home: Path, tmp_path: Path) -> Path:
    """Where auth.json will be: in the folder, or at the end of a link."""
    if request.param == "a file":
        return codex_home / "auth.json"
    target = tmp_path / "elsewhere" / "creds.v1.txt"
    target.parent.mkdir()
    (codex_home / "auth.json").symlink_to(target)
    return target


@pytest.mark.parametrize("alone", [False, True], ids=["both locks", "the second lock alone"])
def test_codex_waits_for_us(alone: bool, codex_home: Path, auth_file: Path) -> None:
    """While we hold the locks, or the one beside the file alone, Codex writes nothing."""
    home = CodexHome(str(codex_home))
    with ExitStack() as stack:
        with hold(_second_lock(auth_file)) if alone else codex_locks(home):
            codex = stack.enter_context(_codex_storing(codex_home))
            if alone:
                until(lambda: is_held(codex_home / "auth.lock"))
            with pytest.raises(subprocess.TimeoutExpired):
                codex.wait(1)
            assert not auth_file.exists()
        assert codex.wait(10) == 0
    assert json.loads(auth_file.read_text())["OPENAI_API_KEY"] == KEY


def test_we_wait_for_codex(codex_home: Path, auth_file: Path) -> None:
    """While Codex is in the middle of writing, we wait and say so; then ours comes last."""
    with ExitStack() as stack:
        with hold(_second_lock(auth_file)):  # keeps Codex in the middle
            codex = stack.enter_context(_codex_storing(codex_home))
            until(lambda: is_held(codex_home / "auth.lock"))
            arguments = ("login", "--with-api-key")
            ours = stack.enter_context(Piped(*arguments, environ=environment(codex_home, None)))
            ours.send(OTHER_KEY)
            ours.read_until("Waiting for another program, probably Codex")
            assert not auth_file.exists()
        assert codex.wait(10) == 0  # it got its write done: its lock was not taken from it
        assert ours.finish().exit_code == 0
    assert json.loads(auth_file.read_text())["OPENAI_API_KEY"] == OTHER_KEY
