"""Command lines: those that are printed to be copied, and options before the subcommand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headless_login.practice.person import approve
from tests.support.machine import posix_shell
from tests.support.program import COMMAND, assert_ended, environment, events_in
from tests.support.two_calls import START, TwoCalls

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
    "all of them": b"\x1b[31m100%'s \\033 $(touch pwned)\xff",
}


def _run(
    *words: str | bytes, calls: TwoCalls, home: bytes | None, cwd: Path | str, stdin: bytes = b""
) -> bytes:
    """Run a program in a folder with this CODEX_HOME, and return its output."""
    native: Callable[[Any], Any] = os.fsdecode if sys.platform == "win32" else os.fsencode
    variables = {native(name): native(value) for name, value in calls.environ.items()}
    variables |= {native("CODEX_HOME"): native(home or "")}  # empty is not set
    command = [native(word) for word in words]
    done = subprocess.run(command, env=variables, cwd=cwd, input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _copy(
    calls: TwoCalls, folder: Path, home: bytes, *options: str, later: bytes | None = None
) -> None:
    """Begin in one shell; copy the command that is printed into another one, elsewhere."""
    calls.environ["PATH"] = f"{Path(COMMAND).parent}{os.pathsep}{calls.environ['PATH']}"
    calls.environ["PYTHONIOENCODING"] = "utf-8:strict"
    started = _run(COMMAND, *START, *options, calls=calls, home=home, cwd=folder)
    answer = approve(started.splitlines()[0].decode()).encode()
    script = started[started.index(b"headless-login login finish -") :].rstrip(b"\n")
    assert script.decode().isprintable(), "it would control the terminal"
    _run("sh", calls=calls, home=later, cwd="/", stdin=b"%s <<'END'\n%s\nEND\n" % (script, answer))


@posix_shell
@pytest.mark.parametrize("kind", NAMES)
def test_the_command_that_is_printed_can_be_copied(
    kind: str, tmp_path: Path, calls: TwoCalls
) -> None:
    """Whatever the Codex folder is called, also where the locale cannot show it (strict UTF-8)."""
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    _copy(calls, tmp_path, home)
    assert os.path.exists(os.path.join(home, b"auth.json"))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", NAMES)
def test_the_words_that_are_announced_can_be_run(
    kind: str, tmp_path: Path, calls: TwoCalls
) -> None:
    """`finish` of `--json` works without a shell, from another folder and environment."""
    if sys.platform == "win32" and not re.fullmatch(rb'[^\0-\37"*/:<>?\\|\xff]+', NAMES[kind]):
        pytest.skip("Windows takes no such name")
    home = os.path.join(os.fsencode(tmp_path), NAMES[kind])
    started = _run(COMMAND, *START, "--json", calls=calls, home=home, cwd=tmp_path)
    (event,) = events_in(started.decode())
    words, answer = map(os.fsencode, event["finish"]), approve(event["url"]).encode()
    finished = _run(*words, b"--json", calls=calls, home=None, cwd="/", stdin=answer)
    (signed_in,) = events_in(finished.decode())
    assert os.fsencode(signed_in["auth_file"]) == os.path.join(home, b"auth.json")


@posix_shell
@pytest.mark.parametrize("given", ["rel", "./rel", "link"])
def test_a_relative_home_is_found_from_anywhere(
    given: str, tmp_path: Path, calls: TwoCalls
) -> None:
    """The command that is printed names the folder whole, through a link as well."""
    (tmp_path / "rel").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("rel")
    _copy(calls, tmp_path, os.fsencode(given))
    assert (tmp_path / "rel" / "auth.json").exists()


@posix_shell
def test_the_usual_home_in_a_shell_that_names_another(tmp_path: Path, calls: TwoCalls) -> None:
    """`CODEX_HOME=… login start --codex-home ~/.codex`: the same shell takes what was printed."""
    calls.environ["HOME"] = str(tmp_path)
    usual, another = tmp_path / ".codex", os.fsencode(tmp_path / "another")
    _copy(calls, tmp_path, another, "--codex-home", str(usual), later=another)
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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no list of users")
@pytest.mark.parametrize("options", [[], ["--json"], ["--device-auth"]])
def test_a_user_without_home_begins_in_the_folder_that_is_named(
    options: list[str], calls: TwoCalls
) -> None:
    """Where CODEX_HOME says all, nobody has to know where this user's own files would be."""
    del calls.environ["HOME"]
    with calls.piped(*START, *options, command=(sys.executable, "-c", NOBODY_KNOWS)) as piped:
        assert_ended(piped.finish(), 0)
    assert len(calls.records) == 1 + ("--device-auth" in options)


OPTIONS = [
    *("--issuer http://127.0.0.1:7777", "--issuer ", "--scope a b", "--timeout 77", "--port 1457"),
    *("--json", "--qr never", "--client-id app_EMoamEEZ73f0CkXaXp7hrann"),
]


def _begun(calls: TwoCalls, *words: str) -> tuple[Any, ...]:
    """Return what a `start` has kept, and whether it was for a program."""
    outcome = calls.run(*words)
    if outcome.exit_code:
        return outcome.exit_code, outcome.err
    (record,) = calls.records
    document = json.loads(record.read_text())
    record.unlink()
    awaits, origin = document["awaits"], document["origin"]
    kept = document["provider"], awaits["redirect_uri"], round(origin["lifetime"])
    return *kept, origin["target"], outcome.out.startswith("{"), "qr_png" in outcome.out


@pytest.mark.parametrize("variables", [{}, {"HEADLESS_LOGIN_CLIENT_ID": "another"}], ids=str)
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_means_the_same_before_the_subcommand(
    option: str, variables: dict[str, str], calls: TwoCalls
) -> None:
    """With and without the variables that it is preferred to."""
    calls.environ |= variables
    if "client" not in option and variables:
        calls.environ["HEADLESS_LOGIN_ISSUER"] = "http://127.0.0.1:9"  # which has no such client
    words = option.split(" ", 1)
    before = _begun(calls, "login", *words, "start")
    behind = _begun(calls, *START, *words)
    assert before == behind


def test_the_home_before_the_subcommand(tmp_path: Path, calls: TwoCalls) -> None:
    """For `start`, `finish` and `status` alike, and preferred to the variable."""
    named = ("login", "--codex-home", str(tmp_path / "other"))
    url = calls.run(*named, "start").out.splitlines()[0]
    assert_ended(calls.run(*named, "finish", "-", stdin=approve(url)), 0)
    status = json.loads(calls.run(*named, "--json", "status").out)
    assert status["auth_file"] == str(tmp_path / "other" / "auth.json")
    assert not list(calls.home.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        *("--issuer http://127.0.0.1:7777 finish", "--issuer http://127.0.0.1:7777 status"),
        *("--timeout 5 finish", "--device-auth finish", "--paste-redirect start"),
        *("--no-browser start", "--with-api-key start", "--bind 127.0.0.1 start"),
        "--take-over-port start",
    ],
)
def test_an_option_that_does_not_go_with_it_is_named(line: str, calls: TwoCalls) -> None:
    """Never silently ignored: exit 2, and the sentence says which and with what."""
    option, *_, subcommand = line.split()
    told = f"{option} does not go with `login {subcommand}`"
    assert_ended(calls.run("login", *line.split()), 2, told)
    assert not list(calls.home.iterdir())
    assert not calls.issuer.requests


MEANT = {
    "lgoin": "Did you mean: headless-login login",
    "log-out": "Did you mean: headless-login logout",
    "start": "Did you mean: headless-login login start",
    "finsh": "Did you mean: headless-login login finish",
    "login stauts": "Did you mean: headless-login login status",
    "login logout": "See: headless-login login --help",
    "zzz": "See: headless-login --help",
    "login http://127.0.0.1:1455/auth/callback?code=ac_secret": "No such command.",
    "login --timeout 5m": "--timeout takes seconds",
    "login --timeout nan": "For five minutes: --timeout 300",
}


@pytest.mark.parametrize("line", MEANT)
def test_a_wrong_word_names_the_right_one(line: str, calls: TwoCalls) -> None:
    """Across both levels of commands; what may be an answer is not repeated."""
    outcome = assert_ended(calls.run(*line.split()), 2, MEANT[line])
    assert "secret" not in outcome.err


def test_everybodys_first_guesses(calls: TwoCalls) -> None:
    """`status` is `login status`, and `-h` is `--help` at every depth; no sentence is cut."""
    assert calls.run("status", "--json") == calls.run("login", "status", "--json")
    for words in ((), ("login",), ("login", "start"), ("demo",)):
        assert calls.run(*words, "-h") == calls.run(*words, "--help")
    assert "no account, no network." in calls.run("-h").out


@pytest.mark.parametrize("subcommand", ["start", "finish", "status"])
def test_an_empty_home_is_not_the_default(subcommand: str, calls: TwoCalls) -> None:
    """A script's variable that is not set is refused on either side of the subcommand."""
    empty = ("--codex-home", "")
    for words in ((*empty, subcommand), (subcommand, *empty)):
        assert_ended(calls.run("login", *words), 2, "names no folder")
    assert not list(calls.home.iterdir())


def test_a_tilde_that_no_shell_has_replaced(tmp_path: Path) -> None:
    """`CODEX_HOME='~/.codex'`: Codex finds nothing there, and no folder named `~` is made."""
    environ = environment(None, None, CODEX_HOME="~/.codex", HOME=str(tmp_path))
    for words in ("login start", "login status", "logout"):
        done = subprocess.run(
            [COMMAND, *words.split()], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 6
        assert "no shell has replaced" in done.stderr
    assert not list(tmp_path.iterdir())


@posix_shell
@pytest.mark.parametrize("command", [("login", "start"), ("login", "status"), ("logout",)])
def test_a_folder_that_is_gone(command: tuple[str, ...], tmp_path: Path) -> None:
    """A relative CODEX_HOME in a present folder that was removed: one sentence, no defect."""
    script = 'mkdir gone; cd gone; rmdir "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-ec", script, "sh", COMMAND, *command],
        cwd=tmp_path,
        env=environment(None, None, CODEX_HOME="relative"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 6
    assert "The present folder is gone." in done.stderr
    assert "defect" not in done.stderr
