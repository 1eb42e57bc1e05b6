"""`headless-login login` and the commands below it."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar

import typer

from headless_login.cli.lazy import LazyGroup
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
    check_choices,
    hand_down,
    provider_of,
)
from headless_login.codex.home import CodexHome
from headless_login.errors import WrongUsage
from headless_login.terminal.output import Console, Events, Listeners


class _Commands(LazyGroup):
    homes: ClassVar = {
        "start": "headless_login.cli.start_finish",
        "finish": "headless_login.cli.start_finish",
        "status": "headless_login.cli.account",
    }


login = typer.Typer(
    cls=_Commands,
    help=(
        "Sign in with ChatGPT: by a browser that reaches this machine, or by pasting the address "
        "that the browser ends at, whichever comes first. Or store an API key. Without a terminal: "
        "`login start` and `login finish`."
    ),
    short_help="Sign in with ChatGPT, or store an API key.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@login.callback()
def sign_in(
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
        hand_down(context, context.invoked_subcommand)
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

    check_choices(qr, qr_file, timeout)
    options = Options(
        provider=provider_of(context, issuer, client_id, scope),
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
