"""One command line: read, run, and every error told and made an exit code."""

from __future__ import annotations

import os
import sys

from headless_login.cli.quick import read
from headless_login.errors import HeadlessLoginError, LocalTrouble, Terminated, WrongUsage
from headless_login.terminal.output import Events, Output
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    # Not what the parser makes of it: it may be the command line that is wrong.
    output = Output(events=Events("--json" in given))
    try:
        result = _run(given)
        if result == INTERRUPTED:  # typer makes an exit code of a KeyboardInterrupt
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HeadlessLoginError as error:
        output.tell_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _end("Interrupted.", INTERRUPTED, output)
    except Terminated as ended:
        told = "Interrupted." if ended.exit_code == INTERRUPTED else "Terminated."
        return _end(told, ended.exit_code, output, ended.pending, ended.command)
    except SystemExit as ended:  # the parser's own, when the reader of a help text is gone
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001  # a traceback could carry tokens
        return _fail_unforeseen(error, given, output)


def _run(words: Sequence[str]) -> object:
    """Run a command line: by the table if it is an ordinary one, else by Typer."""
    if (call := read(list(words))) is None:
        from headless_login.cli.program import run

        return run(words)
    place, given = call
    module, _, function = place.partition(":")
    # As importlib's import_module, which takes longer to be imported than most modules here.
    found = __import__(f"headless_login.cli.{module}", fromlist=[function])
    return getattr(found, function)(**given)


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
