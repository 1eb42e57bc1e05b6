"""`headless-login login` and the commands below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import typer

from headless_login.cli.options import (
    ApiKeyOption,
    BindOption,
    ClientIdOption,
    CodexHomeOption,
    DeviceOption,
    ExpectOption,
    IssuerOption,
    JsonOption,
    NoBrowserOption,
    PasteOption,
    PortOption,
    QrFileOption,
    QrOption,
    ReplaceOption,
    RevokeOldOption,
    ScopeOption,
    StoreAnywayOption,
    TakeOverOption,
    TimeoutOption,
    ToOption,
    WithAccessTokenOption,
    WithApiKeyOption,
    check_port,
    check_target,
    destination_of,
    hand_down,
    options_of,
)
from headless_login.cli.program import LazyGroup
from headless_login.commands.context import Context, Options
from headless_login.errors import WrongUsage
from headless_login.terminal.output import Events, Output


class LoginCommands(LazyGroup):
    """The commands below `login`."""

    modules: ClassVar = {
        "start": "headless_login.cli.start_finish",
        "finish": "headless_login.cli.start_finish",
        "status": "headless_login.cli.account",
    }


login = typer.Typer(
    cls=LoginCommands,
    help=(
        "Sign in with ChatGPT: by a browser that reaches this machine, or by pasting the address "
        "that the browser ends at, whichever comes first. Or store an API key or an access token. "
        "Without a terminal: `login start` and `login finish`."
    ),
    short_help="Sign in with ChatGPT, or store an API key or an access token.",
    rich_markup_mode=None,
    add_completion=False,  # the program has it
    invoke_without_command=True,
)


@login.callback()
def sign_in(
    above: typer.Context,
    paste_redirect: PasteOption = False,
    device_auth: DeviceOption = False,
    with_api_key: WithApiKeyOption = False,
    with_access_token: WithAccessTokenOption = False,
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
    store_anyway: StoreAnywayOption = False,
    expect: ExpectOption = None,
    revoke_old: RevokeOldOption = False,
    to: ToOption = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign in, by one of five ways."""
    if above.invoked_subcommand is not None:
        hand_down(above, above.invoked_subcommand)
        return
    ways = {"--paste-redirect": paste_redirect, "--device-auth": device_auth}
    ways |= {"--with-api-key": with_api_key, "--with-access-token": with_access_token}
    _check_ways(api_key, ways)
    context = Context(Output(events=Events(as_json)))
    fate, client = (store_anyway, revoke_old, expect), (issuer, client_id, scope)
    way = _store_api_key if with_api_key else _store_access_token if with_access_token else None
    check_target(to, replace, revoke_old, is_given=way is not None)
    if with_api_key:
        folder, expected = destination_of(context, codex_home, *fate)
        options = Options(folder.home, folder, expect=expected, store_anyway=store_anyway)
    else:
        options = options_of(above, context, codex_home, client, qr, qr_file, timeout, fate)
        check_port(options.provider, port)
    options = options._replace(device=device_auth, paste=paste_redirect, browser=not no_browser)
    options = options._replace(port=port, bind=bind, take_over=take_over_port, replaces=replace)
    _sign_in(options, context, way, to or ())


def _sign_in(
    options: Options,
    context: Context,
    way: Callable[[Options, Context], None] | None,
    targets: Sequence[str],
) -> None:
    from headless_login.commands.login import login, login_for

    if not targets:
        (way or login)(options, context)
    elif exit_code := login_for(targets, options, context, way or login):
        raise typer.Exit(exit_code)


def _store_api_key(options: Options, context: Context) -> None:
    from headless_login.commands.given_keys import login_with_api_key

    if options.expect:
        raise WrongUsage(
            "--expect cannot be checked with --with-api-key: a key does not say whose it is.",
            "Leave --expect out.",
        )
    login_with_api_key(options.destination, context, target=options.to)


def _store_access_token(options: Options, context: Context) -> None:
    from headless_login.commands.given_keys import login_with_access_token

    login_with_access_token(
        options.destination,
        options.provider,
        context,
        expect=options.expect,
        target=options.to,
    )


def _check_ways(api_key: str | None, ways: Mapping[str, bool]) -> None:
    if api_key is not None:
        from headless_login.commands.given_keys import refuse_key_argument

        raise refuse_key_argument()
    if len(chosen := [name for name, given in ways.items() if given]) > 1:
        raise WrongUsage(f"{' and '.join(chosen)} are different sign-ins.", "Choose one.")
