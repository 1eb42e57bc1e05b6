"""The commands beside `login`: who is signed in, signing out, and the practice sign-in."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer

from headless_login.cli.options import CodexHomeOption, JsonOption
from headless_login.codex.home import CodexHome
from headless_login.terminal.output import AnswerConsole, Console, Events, Listeners


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Tell whether and as whom this machine is signed in.

    It never touches the network.
    """
    from headless_login.commands.status import report_status

    home = CodexHome.find(codex_home, os.environ)
    text, exit_code = report_status(home, os.environ, time.time(), as_json=as_json)
    AnswerConsole().write(f"{text}\n")
    raise typer.Exit(exit_code)


def logout(
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="Also revoke the refresh token, on every machine."),
    ] = False,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the sign-in from this machine, and what is pending."""
    from headless_login.commands.logout import sign_out

    home = CodexHome.find(codex_home, os.environ)
    sign_out(home, Listeners(Console(), Events(as_json)), os.environ, revoke=revoke)


def demo(as_json: JsonOption = False) -> None:
    """Show a whole sign-in against a built-in practice issuer: no account, no network."""
    from headless_login.commands.demo import run_demo

    run_demo(Listeners(Console(), Events(as_json)))
