"""Command lines: those that are printed to be copied, and options before the subcommand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.home import CodexHome
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import COMMAND, run
from tests.support.two_calls import START, events_in, records

NAMES = {
    "blank": b"a b",
    "quotes": b'it\'s "so"',
    "shell": b"$(touch pwned)`touch pwned`;&*$HOME",
    "newline": b"new\nline",
    "dash": b"-dash",
    "tilde": b"~",
    "control": b"\x1b[31m\ttab",
    "letters": "ä😀\u2028".encode(),
    "no letters": b"\xff\xfe",
}


def _run(
    *words: str | bytes, environ: dict[str, str], home: bytes | None, cwd: Path | str, stdin: bytes
) -> bytes:
    """Run a program in a folder with this CODEX_HOME, and return its output."""
    variables = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
    del variables[b"CODEX_HOME"]
    if home is not None:
        variables[b"CODEX_HOME"] = home
    done = subprocess.run(
        words, env=variables, cwd=cwd, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _copy(
    environ: dict[str, str], folder: Path, home: bytes, *options: str, later: bytes | None = None
) -> None:
    """Begin in one shell; copy the command that is printed into another one, elsewhere."""
    path = f"{Path(COMMAND).parent}{os.pathsep}{environ['PATH']}"
    environ = {**environ, "PATH": path, "PYTHONIOENCODING": "utf-8:strict"}
    started = _run(COMMAND, *START, *options, environ=environ, home=home, cwd=folder, stdin=b"")
    answer = approve(started.splitlines()[0].decode())
    script = started[started.index(b"echo 'ADDRESS' | headless-login login finish -") :]
    script = script.replace(b"ADDRESS", answer.encode())
    _run("sh", environ=environ, home=later, cwd="/", stdin=script)


@pytest.mark.parametrize("kind", NAMES)
def test_the_command_that_is_printed_can_be_copied(
    kind: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Whatever the Codex folder is called, also where the locale cannot show it (strict UTF-8)."""
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    _copy(environ, tmp_path, home)
    assert os.path.exists(os.path.join(home, b"auth.json"))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", NAMES)
def test_the_words_that_are_announced_can_be_run(
    kind: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """`finish` of `--json` works without a shell, from another folder and environment."""
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    out = _run(COMMAND, *START, "--json", environ=environ, home=home, cwd=tmp_path, stdin=b"")
    (event,) = events_in(out.decode())
    words = map(os.fsencode, event["finish"])
    answer = approve(event["url"]).encode()
    out = _run(*words, b"--json", environ=environ, home=None, cwd="/", stdin=answer)
    (signed_in,) = events_in(out.decode())
    assert os.fsencode(signed_in["auth_file"]) == os.path.join(home, b"auth.json")


@pytest.mark.parametrize("given", ["rel", "./rel", "link"])
def test_a_relative_home_is_found_from_anywhere(
    given: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """The command that is printed names the folder whole, through a link as well."""
    (tmp_path / "rel").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("rel")
    _copy(environ, tmp_path, os.fsencode(given))
    assert (tmp_path / "rel" / "auth.json").exists()


def test_the_usual_home_in_a_shell_that_names_another(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """`CODEX_HOME=… login start --codex-home ~/.codex`: the same shell takes what was printed."""
    environ["HOME"] = str(tmp_path)
    usual, another = tmp_path / ".codex", os.fsencode(tmp_path / "another")
    _copy(environ, tmp_path, another, "--codex-home", str(usual), later=another)
    assert (usual / "auth.json").exists()


# As in a container with a user of its own number: in no list of users, and without HOME.
NOBODY_KNOWS = """
import os, pwd, sys

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
from headless_login.cli import main
os._exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("options", [[], ["--json"], ["--device-auth"]])
def test_a_user_without_home_begins_in_the_folder_that_is_named(
    options: list[str], environ: dict[str, str], codex_home: Path
) -> None:
    """Where CODEX_HOME says all, nobody has to know where this user's own files would be."""
    del environ["HOME"]
    command = [sys.executable, "-c", NOBODY_KNOWS, *START, *options]
    home = os.fsencode(codex_home)
    _run(*command, environ=environ, home=home, cwd=codex_home, stdin=b"")
    assert len(records(codex_home)) == 1


OPTIONS: dict[str, list[str]] = {
    "issuer": ["--issuer", "http://127.0.0.1:7777"],
    "scope": ["--scope", "a b"],
    "timeout": ["--timeout", "77"],
    "port": ["--port", "1457"],
    "json": ["--json"],
    "qr": ["--qr", "never"],
    "client": ["--client-id", "app_EMoamEEZ73f0CkXaXp7hrann"],
    "no issuer": ["--issuer", ""],
}


def _begun(environ: dict[str, str], codex_home: Path, *words: str) -> tuple[Any, ...]:
    """Return what a `start` has kept, and whether it was for a program."""
    outcome = run(*words, environ=environ)
    if outcome.exit_code:
        return outcome.exit_code, outcome.err
    (record,) = records(codex_home)
    document = json.loads(record.read_text())
    record.unlink()
    awaits, origin = document["awaits"], document["origin"]
    kept = document["provider"], awaits["redirect_uri"], round(origin["lifetime"])
    return *kept, origin["target"], outcome.out.startswith("{"), "qr_png" in outcome.out


@pytest.mark.parametrize("variables", [{}, {"HEADLESS_LOGIN_CLIENT_ID": "another"}], ids=str)
@pytest.mark.parametrize("kind", OPTIONS)
def test_an_option_means_the_same_before_the_subcommand(
    kind: str, variables: dict[str, str], environ: dict[str, str], codex_home: Path
) -> None:
    """With and without the variables that it is preferred to."""
    environ |= variables
    if kind != "client" and variables:
        environ["HEADLESS_LOGIN_ISSUER"] = "http://127.0.0.1:9"  # where no such client is found
    before = _begun(environ, codex_home, "login", *OPTIONS[kind], "start")
    behind = _begun(environ, codex_home, *START, *OPTIONS[kind])
    assert before == behind


def test_the_home_before_the_subcommand(
    environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """For `start`, `finish` and `status` alike, and preferred to the variable."""
    other = tmp_path / "other"
    named = ("login", "--codex-home", str(other))
    url = run(*named, "start", environ=environ).out.splitlines()[0]
    assert run(*named, "finish", "-", environ=environ, stdin=approve(url)).exit_code == 0
    status = json.loads(run(*named, "--json", "status", environ=environ).out)
    assert status["auth_file"] == CodexHome(str(other)).auth_file
    assert not list(codex_home.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "--issuer http://127.0.0.1:7777 finish",
        "--timeout 5 finish",
        "--device-auth finish",
        "--paste-redirect start",
        "--no-browser start",
        "--with-api-key start",
        "--bind 127.0.0.1 start",
        "--take-over-port start",
        "--issuer http://127.0.0.1:7777 status",
    ],
)
def test_an_option_that_does_not_go_with_it_is_named(
    line: str, environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """Never silently ignored: exit 2, and the sentence says which and with what."""
    words = line.split()
    outcome = run("login", *words, environ=environ)
    assert outcome.exit_code == 2
    assert f"{words[0]} does not go with `login {words[-1]}`" in outcome.err
    assert not list(codex_home.iterdir())
    assert not issuer.requests


@pytest.mark.parametrize("subcommand", ["start", "finish", "status"])
def test_an_empty_home_is_not_the_default(
    subcommand: str, environ: dict[str, str], codex_home: Path
) -> None:
    """A script's variable that is not set is refused on either side of the subcommand."""
    empty = ("--codex-home", "")
    for words in ((*empty, subcommand), (subcommand, *empty)):
        outcome = run("login", *words, environ=environ)
        assert outcome.exit_code == 2
        assert "names no folder" in outcome.err
    assert not list(codex_home.iterdir())
