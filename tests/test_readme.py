"""What README.md says is what happens: recordings, examples, options and exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headless_login import errors
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import COMMAND, environment, run

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_recordings_are_true() -> None:
    """Recorded again, the sessions look the same."""
    done = subprocess.run(
        [sys.executable, PROJECT / "scripts" / "record.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"run scripts/record\n{done.stderr}"


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


@pytest.mark.parametrize("folder", [".codex", "elsewhere"], ids=["fresh home", "CODEX_HOME"])
def test_the_library_example_signs_in(folder: str, issuer: PracticeIssuer, tmp_path: Path) -> None:
    """The Python example runs as it stands, in a home without any folder, too."""
    (example,) = _blocks("python")
    environ = environment(None, None, HOME=str(tmp_path), EXAMPLE=example)
    environ["PRACTICE_ISSUER"] = issuer.issuer
    if folder != ".codex":
        environ["CODEX_HOME"] = str(tmp_path / folder)
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLE],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "ada@example.com\n", done.stderr
    assert (tmp_path / folder / "auth.json").exists()


def test_the_api_key_example_stores_the_key(codex_home: Path) -> None:
    """The pipeline for an API key runs as it stands."""
    (example,) = [block for block in _blocks("sh") if "printenv" in block]
    environ = environment(codex_home, None, OPENAI_API_KEY="sk-practice-key-0123456789")
    environ["PATH"] = f"{Path(COMMAND).parent}{os.pathsep}{environ['PATH']}"
    subprocess.run(["sh", "-ec", example], env=environ, check=True, timeout=30, capture_output=True)
    assert "sk-practice-key-0123456789" in (codex_home / "auth.json").read_text()


def test_the_two_calls_sign_in(environ: dict[str, str], codex_home: Path) -> None:
    """Both lines for agents run as they stand, with the person's answer in place of ADDRESS."""
    (example,) = [block for block in _blocks("sh") if "login start" in block]
    start, finish = example.splitlines()
    environ["PATH"] = f"{Path(COMMAND).parent}{os.pathsep}{environ['PATH']}"

    def shell(line: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", line], env=environ, check=True, timeout=30, capture_output=True, text=True
        )
        return done.stdout

    answer = approve(shell(start).splitlines()[0])
    assert "'ADDRESS'" in finish
    shell(finish.replace("ADDRESS", answer))
    assert (codex_home / "auth.json").exists()


def test_the_help_of_start_names_what_there_is() -> None:
    """Every command, option and exit code in the text for agents exists."""
    environ = environment(None, None)
    text = run("login", "start", "--help", environ=environ).out
    recipe, options = text.split("Options:")
    finish = run("login", "finish", "--help", environ=environ).out
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", recipe))
    assert {"--device-auth", "--no-wait", "--json", "--qr-file"} <= used
    assert not {option for option in used if option not in options + finish}
    codes = {int(code) for code in re.findall(r"(?m)^  (\d)  [a-z]", recipe)}
    assert codes == {2, 3, 4, 5, 6}
    assert max(map(len, recipe.splitlines())) < 80


def test_every_option_exists() -> None:
    """No option is described that the command does not know."""
    environ = environment(None, None)
    helps = "".join(
        run(*command, "--help", environ=environ).out
        for command in (
            ["login"],
            ["login", "start"],
            ["login", "finish"],
            ["login", "status"],
            ["logout"],
            ["demo"],
            [],
        )
    )
    ours = re.findall(r"`(?:headless-login |login |logout |scripts/login )?[^`]*`", README)
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(ours)))
    assert used
    assert not {option for option in used if option not in helps}


def test_exit_codes_are_those_of_the_errors() -> None:
    """The table names each class's exit code, and each word of the other table has one of them."""
    table = {int(code) for code in re.findall(r"(?m)^\| (\d+)[ ,|]", README)}
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.HeadlessLoginError)
    ]
    codes = {found.exit_code for found in classes if found is not errors.HeadlessLoginError}
    assert table == {0, 1, *codes}
    assert codes == {remedy.exit_code for remedy in errors.REMEDIES.values()}


def test_every_script_that_is_named_exists() -> None:
    """Whoever types what README says finds it there."""
    for script in set(re.findall(r"scripts/[\w-]+|\.ci/run", README)):
        assert os.access(PROJECT / script, os.X_OK), script
