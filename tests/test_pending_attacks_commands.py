"""Attacks on the command lines: strange Codex homes, commands to be copied, misplaced options."""

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
from tests.support.two_calls import FINISH, PENDING, START, events_in, records

NAMES = {
    "blank": b"a b",
    "quotes": b'it\'s "so"',
    "shell": b"$(touch pwned)`touch pwned`;&*",
    "newline": b"new\nline",
    "dash": b"-dash",
    "tilde": b"~",
    "control": b"\x1b[31m\ttab",
    "letters": "ä😀\u2028".encode(),
    "no letters": b"\xff\xfe",
}


def _bytes(environ: dict[str, str], home: bytes, **more: str) -> dict[bytes, bytes]:
    found = {os.fsencode(name): os.fsencode(value) for name, value in (environ | more).items()}
    return found | {b"CODEX_HOME": home}


def _copied(
    environ: dict[bytes, bytes], folder: Path, *options: str, keep: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Begin in one shell; copy the command that is printed into another one, elsewhere."""
    started = subprocess.run(
        [COMMAND, *START, *options], env=environ, capture_output=True, cwd=folder, timeout=30
    )
    assert started.returncode == 0, started.stderr
    answer = approve(started.stdout.splitlines()[0].decode())
    script = started.stdout[started.stdout.index(b"echo 'ADDRESS'") :]
    if not keep:
        environ = {name: value for name, value in environ.items() if name != b"CODEX_HOME"}
    return subprocess.run(
        ["sh"],
        input=script.replace(b"ADDRESS", answer.encode()),
        env=environ,
        capture_output=True,
        cwd="/",
        timeout=30,
    )


@pytest.mark.parametrize("kind", NAMES)
def test_the_command_that_is_printed_can_be_copied(
    kind: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Whatever the Codex folder is called, also where the locale cannot show it (strict UTF-8)."""
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    done = _copied(_bytes(environ, home, PYTHONIOENCODING="utf-8:strict"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(os.path.join(home, b"auth.json"))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", NAMES)
def test_the_words_that_are_announced_can_be_run(
    kind: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """`finish` of `--json` works without a shell, from another folder and environment."""
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    environment = _bytes(environ, home)
    started = subprocess.run([COMMAND, *START, "--json"], env=environment, capture_output=True)
    (event,) = events_in(started.stdout.decode())
    del environment[b"CODEX_HOME"]
    done = subprocess.run(
        [*map(os.fsencode, event["finish"]), b"--json"],
        input=approve(event["url"]).encode(),
        env=environment,
        capture_output=True,
        cwd="/",
    )
    (signed_in,) = events_in(done.stdout.decode())
    assert os.fsencode(signed_in["auth_file"]) == os.path.join(home, b"auth.json")


@pytest.mark.parametrize("given", ["rel", "./rel", "link"])
def test_a_relative_home_is_found_from_anywhere(
    given: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """The command that is printed names the folder whole, through a link as well."""
    (tmp_path / "rel").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("rel")
    done = _copied(_bytes(environ, os.fsencode(given)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rel" / "auth.json").exists()


def test_the_usual_home_in_a_shell_that_names_another(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """`CODEX_HOME=… login start --codex-home ~/.codex`: the same shell takes what was printed."""
    environ["HOME"] = str(tmp_path)
    usual = tmp_path / ".codex"
    environment = _bytes(environ, os.fsencode(tmp_path / "another"))
    done = _copied(environment, tmp_path, "--codex-home", str(usual), keep=True)
    assert done.returncode == 0, done.stderr
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
    done = subprocess.run(
        [sys.executable, "-c", NOBODY_KNOWS, *START, *options],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
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


def _begun(environ: dict[str, str], home: Path, *words: str) -> tuple[Any, ...]:
    """Return what a `start` has kept, and whether it was for a program."""
    outcome = run(*words, environ=environ)
    if outcome.exit_code:
        return outcome.exit_code, outcome.err
    (record,) = records(home)
    document = json.loads(record.read_text())
    record.unlink()
    awaits, origin = document["awaits"], document["origin"]
    kept = (
        document["provider"],
        awaits["redirect_uri"],
        round(origin["lifetime"]),
        origin["target"],
    )
    return *kept, outcome.out.startswith("{"), "qr_png" in outcome.out


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
    assert not (codex_home / PENDING).exists()
    assert run(*named, "finish", "-", environ=environ, stdin=approve(url)).exit_code == 0
    status = json.loads(run(*named, "--json", "status", environ=environ).out)
    assert status["auth_file"] == CodexHome(str(other)).auth_file
    assert not list(codex_home.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("--issuer", "http://127.0.0.1:7777", "finish"),
        ("--timeout", "5", "finish"),
        ("--device-auth", "finish"),
        ("--paste-redirect", "start"),
        ("--no-browser", "start"),
        ("--with-api-key", "start"),
        ("--bind", "127.0.0.1", "start"),
        ("--take-over-port", "start"),
        ("--issuer", "http://127.0.0.1:7777", "status"),
    ],
    ids=" ".join,
)
def test_an_option_that_does_not_go_with_it_is_named(
    words: tuple[str, ...], environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """Never silently ignored: exit 2, and the sentence says which and with what."""
    outcome = run("login", *words, environ=environ)
    assert outcome.exit_code == 2
    assert f"{words[0]} does not go with `login {words[-1]}`" in outcome.err
    assert not list(codex_home.iterdir())
    assert not issuer.requests


def test_an_empty_home_is_not_the_default(environ: dict[str, str], codex_home: Path) -> None:
    """A script's variable that is not set is refused on either side of the subcommand."""
    for words in (START, FINISH, ("login", "status")):
        for line in ((words[0], "--codex-home", "", words[1]), (*words, "--codex-home", "")):
            outcome = run(*line, environ=environ)
            assert (outcome.exit_code, "names no folder" in outcome.err) == (2, True)
    assert not list(codex_home.iterdir())
