"""The commands beside `login`: who is signed in, signing out, and the practice sign-in."""

from __future__ import annotations

from typing import Annotated

import typer

from headless_login.cli.options import CodexHomeOption, JsonOption
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.terminal.output import Events, Output


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Return whether and as whom this machine is signed in.

    It never touches the network.
    """
    from headless_login.commands.status import report_status

    context = Context()
    home = CodexHome.find(codex_home, context.environ)
    text, exit_code = report_status(home, context.environ, context.time_of_day(), as_json=as_json)
    context.output.answer.write(f"{text}\n")
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
    from headless_login.commands.logout import logout

    context = Context(Output(events=Events(as_json)))
    logout(CodexHome.find(codex_home, context.environ), context, revoke=revoke)


def demo(as_json: JsonOption = False) -> None:
    """Show a whole practice sign-in: no account, no network."""
    from headless_login.commands.demo import demo

    demo(Context(Output(events=Events(as_json))))
