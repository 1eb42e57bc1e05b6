"""What README.md says is what happens: recordings, examples, options and exit codes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from headless_login import errors
from headless_login.codex.home import CodexHome
from headless_login.delivery.destination import CodexFolder
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.machine import posix_paths
from tests.support.people import ADA, GRACE, places, signed_in_as
from tests.support.program import COMMAND, Variables, environment, run

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text()


def _block(language: str, wanted: str = "") -> str:
    """Return the only block in a language that has some text in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (block,) = (block for block in blocks if wanted in block)
    return str(block)


def _run(*command: str | Path, environ: Variables | None = None) -> str:
    """Run a program that has to end well, and return what it prints."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _shell(lines: str, environ: Variables) -> str:
    """Run lines of a shell that finds our command."""
    if sys.platform == "win32":
        pytest.skip("a shell of POSIX")
    path = f"{Path(COMMAND).parent}{os.pathsep}{environ['PATH']}"
    return _run("sh", "-ec", lines, environ=environ | {"PATH": path})


def _options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@posix_paths
def test_recordings_are_true() -> None:
    """Recorded again, the sessions look the same (else run scripts/record)."""
    _run(sys.executable, PROJECT / "scripts" / "record.py", "--check")


# Has the practice issuer in Codex's place, and a person who answers what the example has printed.
EXAMPLE = """
import builtins, os
from headless_login.oauth import provider
from headless_login.practice.person import approve
shown = []
provider.CODEX = provider.Provider(os.environ["PRACTICE_ISSUER"])
builtins.print, told = lambda text: shown.append(text), print
builtins.input = lambda _: approve(shown[0])
exec(os.environ["EXAMPLE"])
told(shown[-1])
"""


@pytest.mark.parametrize(
    "folder",
    [pytest.param(".codex", marks=posix_paths), "elsewhere"],  # Windows' own home is the user's
    ids=["fresh home", "CODEX_HOME"],
)
def test_the_library_example_signs_in(folder: str, issuer: PracticeIssuer, tmp_path: Path) -> None:
    """The Python example runs as it stands, in a home without any folder, too."""
    codex_home = None if folder == ".codex" else tmp_path / folder
    environ = environment(codex_home, None, HOME=str(tmp_path), EXAMPLE=_block("python"))
    environ["PRACTICE_ISSUER"] = issuer.issuer
    assert _run(sys.executable, "-c", EXAMPLE, environ=environ) == "ada@example.com\n"
    assert (tmp_path / folder / "auth.json").exists()


def test_the_api_key_example_stores_the_key(codex_home: Path) -> None:
    environ = environment(codex_home, None, OPENAI_API_KEY="sk-practice-key-0123456789")
    _shell(_block("sh", "printenv OPENAI"), environ)
    assert "sk-practice-key-0123456789" in (codex_home / "auth.json").read_text()


def test_the_two_calls_sign_in(environ: Variables, codex_home: Path) -> None:
    """Both lines for agents run as they stand, with the person's answer in the file."""
    start, finish = _block("sh", "login start").splitlines()
    answer = approve(_shell(start, environ).splitlines()[0])
    (codex_home.parent / "answer.txt").write_text(f"Here it is: {answer}\nAda")
    _shell(f"cd {shlex.quote(str(codex_home.parent))}; {finish}", environ)
    assert (codex_home / "auth.json").exists()


def _help(command: str) -> str:
    return run(*command.split(), "--help", environ=environment(None, None)).out


def test_the_help_of_start_names_what_there_is() -> None:
    """Every command, option and exit code in the text for agents exists."""
    recipe, options = _help("login start").split("Options:")
    used = _options_in(recipe)
    assert {"--device-auth", "--no-wait", "--json", "--qr-file"} <= used
    assert used <= _options_in(options + _help("login finish"))
    assert {*re.findall(r"(?m)^  (\d)  [a-z]", recipe)} == {*"23456"}
    assert max(map(len, recipe.splitlines())) < 80


def test_every_option_exists() -> None:
    commands = ["", "login", "login start", "login finish", "login status", "logout", "demo"]
    commands += ["token", "accounts", "accounts use", "doctor", "push", "export"]
    ours = re.findall(r"`(?:headless-login |login |logout |scripts/login )?[^`]*`", README)
    used = _options_in(" ".join(ours))
    assert used
    assert used <= _options_in("".join(map(_help, commands)))


def test_exit_codes_are_those_of_the_errors() -> None:
    """The table names each class's exit code, and each word of the other table has one of them."""
    table = {int(code) for code in re.findall(r"(?m)^\| (\d+)[ ,|]", README)}
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    codes = {
        value.exit_code
        for value in classes
        if issubclass(value, errors.HeadlessLoginError) and value is not errors.HeadlessLoginError
    }
    assert table == {0, 1, 129, *codes}  # with SIGHUP
    assert codes == {remedy.exit_code for remedy in errors.REMEDIES.values()}


def test_every_script_that_is_named_exists() -> None:
    for script in set(re.findall(r"scripts/[\w-]+|\.ci/run", README)):
        assert os.access(PROJECT / script, os.X_OK), script


def test_the_accounts_example_switches(codex_home: Path) -> None:
    """Every line runs as it stands, with somebody kept and somebody present."""
    home = CodexHome(str(codex_home))
    for person in (GRACE, ADA):
        CodexFolder(home, {}).store(signed_in_as(person))
    lines = _block("sh", "accounts use grace").replace("use -", "use - && headless-login accounts")
    said = _shell(lines, environment(codex_home, None))
    assert re.findall(r"(?m)^([* ]) ChatGPT as (\w+)", said) == [
        *(("*", "ada"), (" ", "grace")),
        *(("*", "ada"), (" ", "grace")),
    ]
    assert [user for _, user, _ in places(home)] == [ADA.user_id]
