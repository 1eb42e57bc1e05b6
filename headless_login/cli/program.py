"""The program as a whole: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

from headless_login import __version__
from headless_login.errors import HeadlessLoginError, LocalTrouble, Terminated, WrongUsage
from headless_login.terminal.output import AnswerConsole, Events, Output

INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """A group whose commands are found in modules, each under its own name.

    They are built when they are called or listed, and not before: building one takes as long as a
    tenth of a bare interpreter's start, or more, and one call needs one of them.
    """

    modules: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order in which help shows them."""
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        module = import_module(self.modules[cmd_name])
        found: typer.Typer | Callable[..., None] = getattr(module, cmd_name)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(rich_markup_mode=None, add_completion=False)
            # A help text that is longer than a docstring should be stands beside the function.
            text = getattr(module, f"{cmd_name.upper()}_HELP", None)
            first = (found.__doc__ or "").partition("\n")[0]  # which the list shows whole
            app.command(cmd_name, help=text, short_help=first)(found)
            found = app
        command = get_command(found)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and arguments; raises WrongUsage, which names the nearest one."""
        name = args[0]
        if name in self.modules or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        told = f"There is no command `{name}`." if _WORD.fullmatch(name) else "No such command."
        raise WrongUsage(told, _nearest(name, ctx.command_path.split()[1:]))


_WORD = re.compile(r"[a-z-]{1,20}")  # anything else may be an answer, and so a secret


def _nearest(name: str, above: list[str]) -> str:
    """Return what was meant, as far as can be told; `above` are the words before the name."""
    from difflib import get_close_matches

    from headless_login.cli.login import LoginCommands

    below = [f"login {each}" for each in LoginCommands.modules]
    meant = {each.rpartition(" ")[2]: each for each in below} | {each: each for each in below}
    if not above:
        meant |= {each: each for each in _Commands.modules}
    near = get_close_matches(name.lower(), meant, n=1)
    if near:
        return f"Did you mean: headless-login {meant[near[0]]}"
    return f"See: {' '.join(['headless-login', *above, '--help'])}"


class _Commands(LazyGroup):
    modules: ClassVar = {
        "login": "headless_login.cli.login",
        "logout": "headless_login.cli.account",
        "status": "headless_login.cli.account",
        "token": "headless_login.cli.account",  # nosec B105
        "accounts": "headless_login.cli.account",
        "push": "headless_login.cli.account",
        "export": "headless_login.cli.account",
        "doctor": "headless_login.cli.account",
        "demo": "headless_login.cli.account",
    }


app = typer.Typer(
    cls=_Commands,
    help="Sign in to Codex on a machine that has no browser and no tunnel.",
    rich_markup_mode=None,  # rich would double the time to every help text and error
    pretty_exceptions_enable=False,  # they print local variables, and those hold tokens
    context_settings={"help_option_names": ["-h", "--help"]},
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
    output = Output(events=Events("--json" in given))
    if "--install-completion" in given or "--show-completion" in given:
        _have_zsh_complete_at_once()
    try:
        result = app(args=list(given), prog_name="headless-login", standalone_mode=False)
        if result == INTERRUPTED:  # typer makes an exit code of a KeyboardInterrupt
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HeadlessLoginError as error:
        output.tell_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _end("Interrupted.", INTERRUPTED, output)
    except Terminated as ended:
        return _end("Terminated.", ended.exit_code, output, ended.pending, ended.command)
    except SystemExit as ended:  # the parser's own, when the reader of a help text is gone
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001  # a traceback could carry tokens
        return _fail_unforeseen(error, given, output)


def _have_zsh_complete_at_once() -> None:
    """Add to Typer's script for zsh what makes it complete when it is loaded, by the first TAB."""
    from typer._completion_shared import _completion_scripts

    at_once = '[[ $zsh_eval_context[-1] == loadautofunc ]] && %(complete_func)s "$@"'
    _completion_scripts["zsh"] += at_once


def _end(message: str, exit_code: int, output: Output, pending: str = "", command: str = "") -> int:
    output.say(message, *filter(None, [pending]))
    output.console.write(f"{command}\n" if command else "")
    output.events.emit(
        "error",
        error="interrupted",
        message=message,
        hint=f"{pending} {command}".strip(),
        exit_code=exit_code,
        pending=bool(pending),
    )
    return exit_code


def _values(arguments: Sequence[str]) -> set[str]:
    """Return what stands on the command line beside options, also as the parser quotes it."""
    given = {argument.partition("=")[2] if argument.startswith("-") else argument
             for argument in arguments}  # fmt: skip
    return {form for value in given if len(value) > 7 for form in (value, repr(value)[1:-1])}


def _fail_unforeseen(error: Exception, arguments: Sequence[str], output: Output) -> int:
    """Report wrong usage found by the parser, or a defect of ours, without any value in it."""
    told: HeadlessLoginError
    message = getattr(error, "format_message", None)
    if callable(message):
        text = str(message())
        if not arguments:  # nothing was asked: the help answers, and the exit code says so
            output.console.write(f"{text}\n")
            return WrongUsage.exit_code
        for value in sorted(_values(arguments), key=len, reverse=True):
            text = text.replace(value, "…")  # it may be a key or a pasted answer
        told = WrongUsage(text)
    elif isinstance(error, OSError) and "--install-completion" in arguments:
        told = LocalTrouble(
            "store_failed",
            f"Completion cannot be installed: {error.strerror}.",
            "Put what `headless-login --show-completion` prints where this shell reads it.",
        )
    else:
        told = LocalTrouble("internal_error", f"This is a defect of headless-login ({_at(error)}).")
    output.tell_error(told)
    return told.exit_code


def _at(error: Exception) -> str:
    """Return kind and place of an exception, without its text."""
    where, trace = "", error.__traceback__
    while trace is not None:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {where}"
