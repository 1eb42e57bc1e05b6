"""The program as Typer knows it: its commands from the table, their help, completion and errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import Parameter, Signature
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

from headless_login import __version__
from headless_login.cli.quick import defaults
from headless_login.cli.table import COMMANDS, OPTIONS
from headless_login.errors import WrongUsage
from headless_login.terminal.output import AnswerConsole

_TYPES: dict[str, Any] = {
    "flag": bool, "text": str | None, "texts": list[str], "integer": int | None,
    "number": float | None, "one": str, "maybe": str | None, "all": list[str],
}  # fmt: skip


class LazyGroup(TyperGroup):
    """A group whose commands are built when they are called or listed, and not before.

    Building one takes as long as a tenth of a bare interpreter's start, or more, and one call needs
    one of them.
    """

    above: ClassVar = ""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order in which help shows them."""
        names = [name.rpartition(" ") for name in COMMANDS]
        return [name for group, _, name in names if group == self.above]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        whole = f"{self.above} {cmd_name}".strip()
        if whole not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = get_command(_declared(whole))
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and arguments; raises WrongUsage, which names the nearest one."""
        name = args[0]
        if name in self.list_commands(ctx) or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        told = f"There is no command `{name}`." if _WORD.fullmatch(name) else "No such command."
        raise WrongUsage(told, _nearest(name, self.above))


def function_of(name: str) -> Callable[..., object]:
    """Return the function of a command, `module:name` in this package."""
    module, _, function = name.partition(":")
    found: Callable[..., object] = getattr(import_module(f"headless_login.cli.{module}"), function)
    return found


def _declared(command: str) -> typer.Typer:
    """Return a command, or a group of commands that is one itself, as the table has it."""
    place, short, options, arguments = COMMANDS[command]
    function = function_of(place)
    parameters = [*map(_argument, arguments)]
    parameters += [_option(name, default) for name, default in defaults(options).items()]
    module = import_module(function.__module__)
    text = getattr(module, f"{command.rpartition(' ')[2].upper()}_HELP", function.__doc__)
    is_group = any(name.startswith(f"{command} ") for name in COMMANDS)
    more = {"cls": type("Commands", (LazyGroup,), {"above": command})} if is_group else {}
    app = typer.Typer(rich_markup_mode=None, add_completion=False, **more)  # type: ignore[arg-type]
    if not is_group:
        app.command(command, help=text, short_help=short)(_with(parameters, function))
        return app

    def called(above: typer.Context, **given: object) -> object:
        if above.invoked_subcommand is None:
            return function(**given)
        hand_down(above, above.invoked_subcommand)
        return None

    first = Parameter("above", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    declare = app.callback(invoke_without_command=True, help=text, short_help=short)
    declare(_with([first, *parameters], called))
    return app


def _with(parameters: Sequence[Parameter], function: Callable[..., object]) -> Any:
    """Return a function that Typer takes to have these parameters."""

    def call(**given: object) -> object:
        return function(**given)

    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _option(name: str, default: object) -> Parameter:
    kind, flags, metavar, _, text = OPTIONS[name]
    limits = {"min": 1, "max": 65535} if kind == "integer" else {}
    declared = typer.Option(*flags, metavar=metavar or None, help=text, hidden=not text, **limits)  # type: ignore[call-overload]
    given = _TYPES[kind] if default is None or kind == "texts" else type(default)
    return _parameter(name, default, given, declared)


def _argument(row: tuple[str, str, str, str]) -> Parameter:
    name, kind, metavar, text = row
    default = None if kind == "maybe" else Parameter.empty
    return _parameter(name, default, _TYPES[kind], typer.Argument(metavar=metavar, help=text))


def _parameter(name: str, default: object, given: Any, declared: object) -> Parameter:
    annotation: Any = Annotated[given, declared]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def hand_down(context: typer.Context, subcommand: str) -> None:
    """Have what was given before a subcommand mean the same as behind it."""
    group: Any = context.command
    command = group.get_command(context, subcommand)
    flags = {option.name: option.opts[0] for option in group.params}
    given = {flags[name]: value for name, value in context.params.items() if _given(context, name)}
    known = {option.opts[0]: option for option in command.params}
    if strange := [flag for flag in given if flag not in known]:
        words = f"{context.info_name} {subcommand}"
        raise WrongUsage(
            f"{' and '.join(strange)} does not go with `{words}`.",
            f"See: headless-login {words} --help",
        )
    context.default_map = {subcommand: {known[flag].name: given[flag] for flag in given}}


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


_WORD = re.compile(r"[a-z-]{1,20}")  # anything else may be an answer, and so a secret


def _nearest(name: str, above: str) -> str:
    """Return what was meant, as far as can be told; `above` are the words before the name."""
    from difflib import get_close_matches

    below = [each for each in COMMANDS if each.startswith(f"{above or 'login'} ")]
    meant = {each.rpartition(" ")[2]: each for each in below} | {each: each for each in below}
    if not above:
        meant |= {each: each for each in COMMANDS if " " not in each}
    near = get_close_matches(name.lower(), meant, n=1)
    if near:
        return f"Did you mean: headless-login {meant[near[0]]}"
    return f"See: {' '.join(filter(None, ['headless-login', above, '--help']))}"


app = typer.Typer(
    cls=LazyGroup,
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


def run(words: Sequence[str]) -> object:
    """Run one command line; returns what its command returns, or an exit code.

    Raises whatever the command, or the parser, raises.
    """
    if "--install-completion" in words or "--show-completion" in words:
        _have_zsh_complete_at_once()
    try:
        return app(args=list(words), prog_name="headless-login", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _have_zsh_complete_at_once() -> None:
    """Add to Typer's script for zsh what makes it complete when it is loaded, by the first TAB."""
    from typer._completion_shared import _completion_scripts

    at_once = '[[ $zsh_eval_context[-1] == loadautofunc ]] && %(complete_func)s "$@"'
    _completion_scripts["zsh"] += at_once
