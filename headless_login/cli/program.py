"""The program as a whole: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, ClassVar

import typer

from headless_login import __version__
from headless_login.cli.lazy import LazyGroup
from headless_login.errors import HeadlessLoginError, LocalTrouble, Terminated, WrongUsage
from headless_login.terminal.output import AnswerConsole, Console, Events, Listeners

INTERRUPTED, TERMINATED = 130, 143


class _Commands(LazyGroup):
    homes: ClassVar = {
        "login": "headless_login.cli.login",
        "logout": "headless_login.cli.account",
        "demo": "headless_login.cli.account",
    }


app = typer.Typer(
    cls=_Commands,
    help="Sign in to Codex on a machine that has no browser and no tunnel.",
    rich_markup_mode=None,  # rich would double the time to every help text and error
    pretty_exceptions_enable=False,  # they print local variables, and those hold tokens
    add_completion=False,
    no_args_is_help=True,
)


def _print_version(asked: bool) -> None:
    if asked:
        AnswerConsole().write(f"headless-login {__version__}\n")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Sign in to Codex on a machine that has no browser and no tunnel."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    # Not what the parser makes of it: it may be the command line that is wrong.
    listeners = Listeners(Console(), Events("--json" in given))
    try:
        result = app(args=list(given), prog_name="headless-login", standalone_mode=False)
        if result == INTERRUPTED:  # typer makes an exit code of a KeyboardInterrupt
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HeadlessLoginError as error:
        return _fail(error, listeners)
    except (KeyboardInterrupt, typer.Abort):
        return _end("Interrupted.", INTERRUPTED, listeners)
    except Terminated:
        return _end("Terminated.", TERMINATED, listeners)
    except SystemExit as ended:  # the parser's own, when the reader of a help text is gone
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001  # a traceback could carry tokens
        return _fail_unforeseen(error, given, listeners)


def _fail(error: HeadlessLoginError, listeners: Listeners) -> int:
    hint = [error.hint] if error.hint else []
    listeners.console.say(f"Error: {error.message}", *hint)
    listeners.events.emit(
        "error",
        error=error.error,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )
    return error.exit_code


def _end(message: str, exit_code: int, listeners: Listeners) -> int:
    listeners.console.say(message)
    listeners.events.emit(
        "error", error="interrupted", message=message, hint="", exit_code=exit_code
    )
    return exit_code


def _values(arguments: Sequence[str]) -> set[str]:
    """Return what stands on the command line beside options, also as the parser quotes it."""
    given = {argument.partition("=")[2] if argument.startswith("-") else argument
             for argument in arguments}  # fmt: skip
    return {form for value in given if len(value) > 7 for form in (value, repr(value)[1:-1])}


def _fail_unforeseen(error: Exception, arguments: Sequence[str], listeners: Listeners) -> int:
    """Report wrong usage found by the parser, or a defect of ours, without any value in it."""
    message = getattr(error, "format_message", None)
    if callable(message):
        text = str(message())
        if not arguments:  # nothing was asked: the help answers, and the exit code says so
            listeners.console.write(f"{text}\n")
            return WrongUsage.exit_code
        for value in sorted(_values(arguments), key=len, reverse=True):
            text = text.replace(value, "…")  # it may be a key or a pasted answer
        return _fail(WrongUsage(text, "See: headless-login login --help"), listeners)
    where, trace = "", error.__traceback__
    while trace is not None:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    defect = f"a defect of headless-login ({type(error).__name__} at {where})."
    return _fail(LocalTrouble("internal_error", defect), listeners)
