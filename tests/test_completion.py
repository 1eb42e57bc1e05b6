"""Completion by a real TAB, in the shells that it is installed for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Terminal, assert_ended, environment, run

SHELLS = ("bash", "zsh", "fish")
# What is typed before TAB, and what then stands on the line.
TYPED = {
    "headless-login dem": "headless-login demo",
    "headless-login login fin": "headless-login login finish",
    "headless-login login --paste": "headless-login login --paste-redirect",
    "headless-login login start --code": "headless-login login start --codex-home",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_tab(shell: str, tmp_path: Path) -> None:
    """Installed at the root by one option, it completes commands and options at every depth."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environ = environment(None, None, HOME=str(tmp_path))
    environ["PATH"] = f"{Path(COMMAND).parent}:{environ['PATH']}"
    (tmp_path / ".zshrc").touch()  # or zsh asks a newcomer about it
    with Terminal("-i", environ=environ, command=(shell,), columns=100) as terminal:
        terminal.send("headless-login --install-completion; echo in''stalled\r")
        terminal.read_screen_until("^installed")
    with Terminal("-i", environ=environ, command=(shell,), columns=100) as terminal:
        terminal.send("echo re''ady\r")
        terminal.read_screen_until("^ready")
        for typed, completed in TYPED.items():
            terminal.send(f"{typed}\t")
            terminal.read_screen_until(rf"{completed}( |$)")
            terminal.send("\x15")


def test_a_home_that_takes_no_file() -> None:
    """It says what is the matter, as with any other file."""
    environ = environment(None, None, HOME="/proc/none")
    command = ("bash", "-c", f"{COMMAND} --install-completion; exit $?")
    assert_ended(run(environ=environ, command=command), 6, "cannot be", "--show-completion")


def test_none_below_login(tmp_path: Path) -> None:
    """What is completed is the program: `login` offers no second installation."""
    environ = environment(None, None, HOME=str(tmp_path))
    assert "--install-completion" in run("--help", environ=environ).out
    assert "completion" not in run("login", "--help", environ=environ).out
    assert not list(tmp_path.iterdir())
