"""`headless-login login` and the commands below it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headless_login.cli.options import (
    ClientIdOption,
    CodexHomeOption,
    DeviceOption,
    IssuerOption,
    JsonOption,
    QrFileOption,
    QrOption,
    ScopeOption,
    TimeoutOption,
)
from headless_login.codex.home import CodexHome
from headless_login.commands.listeners import Listeners
from headless_login.errors import WrongUsage
from headless_login.terminal.console import Console
from headless_login.terminal.events import Events

if TYPE_CHECKING:
    from headless_login.oauth.provider import Provider

login_app = typer.Typer(
    help=(
        "Sign in with ChatGPT: by a browser that reaches this machine, or by pasting the address "
        "that the browser ends at, whichever comes first. Or store an API key. Without a terminal: "
        "`login start` and `login finish`."
    ),
    short_help="Sign in with ChatGPT, or store an API key.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


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
    device_auth: DeviceOption = False,
    with_api_key: Annotated[
        bool, typer.Option("--with-api-key", help="Read an OpenAI API key from standard input.")
    ] = False,
    api_key: Annotated[str | None, typer.Option(hidden=True)] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser on this machine.")
    ] = False,
    qr: QrOption = "auto",
    qr_file: QrFileOption = None,
    timeout: TimeoutOption = 900,
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
    issuer: IssuerOption = None,
    client_id: ClientIdOption = None,
    scope: ScopeOption = None,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in, by one of four ways."""
    if context.invoked_subcommand is not None:
        _hand_down(context, context.invoked_subcommand)
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
    listeners = Listeners(Console(), Events(as_json))
    if with_api_key:
        from headless_login.commands.api_key import sign_in_with_api_key

        sign_in_with_api_key(CodexHome.find(codex_home, os.environ), listeners)
        return
    from headless_login.commands.options import Options
    from headless_login.commands.sign_in import SignIn

    _check(qr, qr_file, timeout)
    options = Options(
        provider=_provider(context, issuer, client_id, scope),
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
    SignIn(options, listeners).run()


@login_app.command()
def start(
    context: typer.Context,
    device_auth: DeviceOption = False,
    qr: QrOption = "auto",
    qr_file: QrFileOption = None,
    timeout: TimeoutOption = 900,
    port: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=65535, help="The port in the address it ends at."),
    ] = 1455,
    issuer: IssuerOption = None,
    client_id: ClientIdOption = None,
    scope: ScopeOption = None,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a sign-in that `login finish` completes in another call: for agents and scripts.

    It prints an address on the first line, keeps the sign-in pending for 15 minutes, and ends at
    once. Nothing listens and nothing waits, so it needs no terminal.

    \b
    WITH A PERSON IN A CHAT
    1. headless-login login start
       prints an address. (--qr-file code.png: also as a picture.)
    2. Send the person that address, whole and unchanged, and write:
       "Please open this address and sign in. Your browser will then end
       at a page that cannot be loaded. That is expected: copy its whole
       address (http://127.0.0.1:1455/auth/callback?code=...&state=...)
       from the address bar and send it to me."
    3. When it has come, write it into standard input, in single quotes:
       echo 'ADDRESS' | headless-login login finish -
    4. Exit code 0: done, codex is signed in on this machine.

    \b
    OR WITH A CODE, so that nothing has to be sent back
    1. headless-login login start --device-auth
       prints a page and a one-time code.
    2. Send the person both: "Open the page, sign in, and type the code.
       Go on only if you asked me for this."
    3. headless-login login finish --no-wait
       asks once; exit code 5: not yet, ask again some seconds later.
       Without --no-wait it waits until the person is done.

    \b
    IF finish FAILS, it says why, and the exit code tells what to do:
    2  the command is wrong, or no address came in: mend it, go on at 3.
    3  the answer was refused. If it says what to paste instead, ask the
       person for that and go on at 3. If it says that the sign-in is
       used up, has expired, or is not known here: go back to 1.
    4  the issuer cannot be reached: the sign-in stays pending, go on at 3.
    5  not approved yet, or the code has expired: the message says which.
    6  this machine cannot store it: mend what is named, go back to 1.

    \b
    Start and finish have to run as the same user, on the same machine,
    with the same Codex folder. Several sign-ins may be pending at once.
    The address that comes back is worthless anywhere else. Never ask the
    person for a password. --json prints events for programs.
    """
    from headless_login.commands.options import Options
    from headless_login.commands.start import Start

    _check(qr, qr_file, timeout)
    options = Options(
        provider=_provider(context, issuer, client_id, scope),
        codex_home=codex_home,
        qr=qr,
        qr_file=qr_file,
        timeout=timeout,
        port=port,
        device=device_auth,
    )
    Start(options, Listeners(Console(), Events(as_json))).run()


@login_app.command()
def finish(
    answer: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL|-]",
            help="The address that the browser ended at; better on standard input (-), which "
            "other users of this machine cannot see. Nothing for a one-time code.",
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Ask once about a one-time code; exit 5 if it is still pending."
        ),
    ] = False,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Complete a sign-in that `login start` began, in a call of its own.

    The answer finds its sign-in by the state that it carries. One that is rejected does not use
    the sign-in up, nor does an issuer that cannot be reached: run it again with the right answer,
    or later.

    \b
    echo 'ADDRESS' | headless-login login finish -
    headless-login login finish - < FILE
    headless-login login finish            asks for it on a terminal
    headless-login login finish --no-wait  for a one-time code
    """
    from headless_login.commands.finish import Finish, ready_to_finish
    from headless_login.commands.finishing import Finishing

    listeners = Listeners(Console(), Events(as_json))
    ready = ready_to_finish(CodexHome.find(codex_home, os.environ), listeners)
    Finish(Finishing(listeners, ready)).run(answer, wait=not no_wait)


@login_app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Tell whether and as whom this machine is signed in; never touches the network."""
    from headless_login.commands.status import report_status

    home = CodexHome.find(codex_home, os.environ)
    text, exit_code = report_status(home, os.environ, time.time(), as_json=as_json)
    typer.echo(text)
    raise typer.Exit(exit_code)


def _hand_down(context: typer.Context, subcommand: str) -> None:
    """Have what was given before a subcommand mean the same as behind it."""
    group: Any = context.command
    command = group.get_command(context, subcommand)
    given = {name: context.params[name] for name in context.params if _is_given(context, name)}
    flags = {option.name: option.opts[0] for option in group.params}
    known = {option.name for option in command.params}
    if strange := [flags[name] for name in given if name not in known]:
        raise WrongUsage(
            f"{' and '.join(strange)} does not go with `login {subcommand}`.",
            f"See: headless-login login {subcommand} --help",
        )
    context.default_map = {subcommand: given}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _provider(
    context: typer.Context, issuer: str | None, client_id: str | None, scope: str | None
) -> Provider:
    """Return Codex's client on its own or another server, or another client altogether."""
    from headless_login.oauth.provider import (
        CODEX_CLIENT_ID,
        CODEX_ISSUER,
        CODEX_SCOPE,
        OPENID_SCOPE,
        Provider,
    )

    issuer = _chosen(context, "issuer", issuer) or CODEX_ISSUER
    client_id = _chosen(context, "client_id", client_id)
    if client_id in (None, "", CODEX_CLIENT_ID):
        return Provider(issuer, scope=scope or CODEX_SCOPE)
    from headless_login.issuer.discovery import discover

    endpoints = discover(issuer)
    return Provider(issuer, str(client_id), scope or OPENID_SCOPE, endpoints)


def _chosen(context: typer.Context, name: str, value: str | None) -> str | None:
    """Return a value with a variable of its own, to which an option before it is preferred."""
    above = context.parent
    if above is None or _is_given(context, name) or not _is_given(above, name):  # type: ignore[arg-type]
        return value
    return str(above.params[name])


def _check(qr: str, qr_file: str | None, timeout: float) -> None:
    if qr not in ("auto", "always", "never", "graphics"):
        raise WrongUsage("--qr takes auto, always, never or graphics.")
    if qr_file is not None:
        from headless_login.commands.qr_file import check_qr_file

        check_qr_file(qr_file)
    if not 0 < timeout <= 86400:
        raise WrongUsage("--timeout takes seconds, more than 0 and at most 86400 (a day).")
