"""The command line: commands, options, environment, exit codes; the only place that exits."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headless_login import __version__
from headless_login.codex.home import CodexHome
from headless_login.errors import HeadlessLoginError, Terminated, WrongUsage
from headless_login.terminal.console import Console

if TYPE_CHECKING:
    from headless_login.oauth.provider import Provider

INTERRUPTED, TERMINATED = 130, 143

app = typer.Typer(
    help="Sign in to Codex on a machine that has no browser and no tunnel.",
    rich_markup_mode=None,  # rich would double the time to every help text and error
    pretty_exceptions_enable=False,  # they print local variables, and those hold tokens
    add_completion=False,
    no_args_is_help=True,
)
login_app = typer.Typer(
    help=(
        "Sign in with ChatGPT: by a browser that reaches this machine, or by pasting the address "
        "that the browser ends at, whichever comes first. Or store an API key."
    ),
    short_help="Sign in with ChatGPT, or store an API key.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
app.add_typer(login_app, name="login")

CodexHomeOption = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Codex's folder; default $CODEX_HOME, else ~/.codex."),
]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"headless-login {__version__}")
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


@login_app.callback()
def login(
    context: typer.Context,
    paste_redirect: Annotated[
        bool,
        typer.Option(
            "--paste-redirect",
            help="Bind no port: sign in on another device and paste the address it ends at.",
        ),
    ] = False,
    device_auth: Annotated[
        bool,
        typer.Option(
            "--device-auth", "--device-code", help="Show a one-time code to be typed on a web page."
        ),
    ] = False,
    with_api_key: Annotated[
        bool, typer.Option("--with-api-key", help="Read an OpenAI API key from standard input.")
    ] = False,
    api_key: Annotated[str | None, typer.Option(hidden=True)] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser on this machine.")
    ] = False,
    qr: Annotated[
        str,
        typer.Option(
            metavar="auto|always|never|graphics",
            help="Whether to show a QR code; graphics: by the terminal's picture protocol.",
        ),
    ] = "auto",
    qr_file: Annotated[
        str | None,
        typer.Option("--qr-file", metavar="PATH", help="Also write the QR code as .png or .svg."),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="For the whole sign-in.")] = 900,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=65535, help="Only this loopback port; default 1455, then 1457."
        ),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Listen there; default 127.0.0.1 and ::1."),
    ] = None,
    take_over_port: Annotated[
        bool,
        typer.Option("--take-over-port", help="End another sign-in that waits on the port."),
    ] = False,
    issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="HEADLESS_LOGIN_ISSUER", help="Another authorization server."
        ),
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option(
            "--client-id",
            metavar="ID",
            envvar="HEADLESS_LOGIN_CLIENT_ID",
            help="Another client, whose endpoints are looked up at the issuer.",
        ),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Other scopes, separated by blanks.")
    ] = None,
    codex_home: CodexHomeOption = None,
) -> None:
    """Sign in, by one of four ways."""
    if context.invoked_subcommand is not None:
        return
    if api_key is not None:
        from headless_login.commands.api_key import refuse_key_argument

        raise refuse_key_argument()
    ways = {
        "--paste-redirect": paste_redirect,
        "--device-auth": device_auth,
        "--with-api-key": with_api_key,
    }
    if len(chosen := [name for name, given in ways.items() if given]) > 1:
        raise WrongUsage(f"{' and '.join(chosen)} are different sign-ins.", "Choose one.")
    if with_api_key:
        from headless_login.commands.api_key import sign_in_with_api_key

        sign_in_with_api_key(CodexHome.find(codex_home, os.environ), Console())
        return
    from headless_login.commands.options import Options
    from headless_login.commands.sign_in import SignIn

    _check(qr, qr_file, timeout)
    options = Options(
        provider=_provider(issuer, client_id, scope),
        codex_home=codex_home,
        paste=paste_redirect,
        browser=not no_browser,
        qr=qr,
        qr_file=qr_file,
        timeout=timeout,
        port=port,
        bind=bind,
        take_over=take_over_port,
        device=device_auth,
    )
    SignIn(options).run()


def _provider(issuer: str | None, client_id: str | None, scope: str | None) -> Provider:
    """Return Codex's client on its own or another server, or another client altogether."""
    from headless_login.oauth.provider import (
        CODEX_CLIENT_ID,
        CODEX_ISSUER,
        CODEX_SCOPE,
        OPENID_SCOPE,
        Provider,
    )

    issuer = issuer or CODEX_ISSUER
    if client_id in (None, "", CODEX_CLIENT_ID):
        return Provider(issuer, scope=scope or CODEX_SCOPE)
    from headless_login.issuer.discovery import discover

    endpoints = discover(issuer)
    return Provider(issuer, str(client_id), scope or OPENID_SCOPE, endpoints)


def _check(qr: str, qr_file: str | None, timeout: float) -> None:
    if qr not in ("auto", "always", "never", "graphics"):
        raise WrongUsage("--qr takes auto, always, never or graphics.")
    if qr_file is not None:
        from headless_login.commands.qr_file import check_qr_file

        check_qr_file(qr_file)
    if not 0 < timeout <= 86400:
        raise WrongUsage("--timeout takes seconds, more than 0 and at most 86400 (a day).")


@login_app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Tell whether and as whom this machine is signed in; never touches the network."""
    from headless_login.commands.status import report_status

    given = codex_home or (context.parent.params.get("codex_home") if context.parent else None)
    home = CodexHome.find(given, os.environ)
    text, exit_code = report_status(home, os.environ, time.time(), as_json=as_json)
    typer.echo(text)
    raise typer.Exit(exit_code)


@app.command()
def logout(
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="Also revoke the refresh token, on every machine."),
    ] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Remove the sign-in from this machine."""
    from headless_login.commands.logout import sign_out

    sign_out(CodexHome.find(codex_home, os.environ), Console(), os.environ, revoke=revoke)


@app.command()
def demo() -> None:
    """Show a whole sign-in against a built-in practice issuer: no account, no network."""
    from headless_login.commands.demo import run_demo

    run_demo(Console())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        result = app(args=list(given), prog_name="headless-login", standalone_mode=False)
        if result == INTERRUPTED:  # typer makes an exit code of a KeyboardInterrupt
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HeadlessLoginError as error:
        return _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        Console().say("Interrupted.")
        return INTERRUPTED
    except Terminated:
        Console().say("Terminated.")
        return TERMINATED
    except Exception as error:  # noqa: BLE001  # a traceback could carry tokens
        return _fail_unforeseen(error, given)


def _fail(error: HeadlessLoginError) -> int:
    Console().say(f"Error: {error.message}", *([error.hint] if error.hint else []))
    return error.exit_code


def _fail_unforeseen(error: Exception, arguments: Sequence[str]) -> int:
    """Report wrong usage found by the parser, or a defect of ours, without any value in it."""
    message = getattr(error, "format_message", None)
    if callable(message):
        text = str(message())
        for argument in sorted(arguments, key=len, reverse=True):
            if not argument.startswith("-") and len(argument) > 7:
                text = text.replace(argument, "…")  # it may be a key or a pasted answer
        return _fail(WrongUsage(text, "See: headless-login login --help"))
    where, trace = "", error.__traceback__
    while trace is not None:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    Console().say(f"Error: a defect of headless-login ({type(error).__name__} at {where}).")
    return 6
