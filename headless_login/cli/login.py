"""`headless-login login` and the commands below it."""

from __future__ import annotations

from typing import ClassVar

import typer

from headless_login.cli.options import (
    ApiKeyOption,
    BindOption,
    ClientIdOption,
    CodexHomeOption,
    DeviceOption,
    IssuerOption,
    JsonOption,
    NoBrowserOption,
    PasteOption,
    PortOption,
    QrFileOption,
    QrOption,
    ScopeOption,
    TakeOverOption,
    TimeoutOption,
    WithApiKeyOption,
    hand_down,
    options_of,
)
from headless_login.cli.program import LazyGroup
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.errors import WrongUsage
from headless_login.terminal.output import Events, Output


class _Commands(LazyGroup):
    modules: ClassVar = {
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
    above: typer.Context,
    paste_redirect: PasteOption = False,
    device_auth: DeviceOption = False,
    with_api_key: WithApiKeyOption = False,
    api_key: ApiKeyOption = None,
    no_browser: NoBrowserOption = False,
    qr: QrOption = "auto",
    qr_file: QrFileOption = None,
    timeout: TimeoutOption = 900,
    port: PortOption = None,
    bind: BindOption = None,
    take_over_port: TakeOverOption = False,
    issuer: IssuerOption = None,
    client_id: ClientIdOption = None,
    scope: ScopeOption = None,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in, by one of four ways."""
    if above.invoked_subcommand is not None:
        hand_down(above, above.invoked_subcommand)
        return
    _check_ways(api_key, paste_redirect, device_auth, with_api_key)
    context = Context(Output(events=Events(as_json)))
    if with_api_key:
        from headless_login.commands.api_key import login_with_api_key

        login_with_api_key(CodexHome.find(codex_home, context.environ), context)
        return
    from headless_login.commands.login import login

    client = (issuer, client_id, scope)
    options = options_of(above, context, codex_home, client, qr, qr_file, timeout)
    options = options._replace(device=device_auth, paste=paste_redirect, browser=not no_browser)
    login(options._replace(port=port, bind=bind, take_over=take_over_port), context)


def _check_ways(
    api_key: str | None, paste_redirect: bool, device_auth: bool, with_api_key: bool
) -> None:
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
