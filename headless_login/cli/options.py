"""The options that more than one command has, and what they mean together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headless_login.errors import WrongUsage

if TYPE_CHECKING:
    from headless_login.commands.context import Context, Options
    from headless_login.delivery.destination import CodexFolder
    from headless_login.oauth.provider import Provider

CodexHomeOption = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Codex's folder; default $CODEX_HOME, else ~/.codex."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="For programs: one JSON object a line on standard output.")
]
DeviceOption = Annotated[
    bool,
    typer.Option(
        "--device-auth", "--device-code", help="Show a one-time code to be typed on a web page."
    ),
]
QrOption = Annotated[
    str,
    typer.Option(
        metavar="auto|always|never|graphics",
        help="Whether to show a QR code; graphics: by the terminal's picture protocol.",
    ),
]
QrFileOption = Annotated[
    str | None,
    typer.Option("--qr-file", metavar="PATH", help="Also write the QR code as .png or .svg."),
]


def _seconds(given: str) -> float:
    """Return a time-out in seconds, or raise WrongUsage."""
    with suppress(ValueError):
        if 0 < (seconds := float(given)) <= 86400:
            return seconds
    raise WrongUsage(
        "--timeout takes seconds, more than 0 and at most 86400 (a day).",
        "For five minutes: --timeout 300",
    )


TimeoutOption = Annotated[
    float, typer.Option(metavar="SECONDS", parser=_seconds, help="For the whole sign-in.")
]
IssuerOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="HEADLESS_LOGIN_ISSUER", help="Another authorization server."
    ),
]
ClientIdOption = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        metavar="ID",
        envvar="HEADLESS_LOGIN_CLIENT_ID",
        help="Another client, whose endpoints are looked up at the issuer.",
    ),
]
ScopeOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Other scopes, separated by blanks.")
]


PasteOption = Annotated[
    bool,
    typer.Option(
        "--paste-redirect",
        help="Bind no port: sign in on another device and paste the address of the page that "
        "fails to load.",
    ),
]
WithApiKeyOption = Annotated[
    bool, typer.Option("--with-api-key", help="Read an OpenAI API key from standard input.")
]
WithAccessTokenOption = Annotated[
    bool,
    typer.Option("--with-access-token", help="Read an access token of Codex from standard input."),
]
StoreAnywayOption = Annotated[
    bool,
    typer.Option(
        "--store-anyway", help="Also where Codex keeps sign-ins elsewhere than in auth.json."
    ),
]
ApiKeyOption = Annotated[str | None, typer.Option("--api-key", hidden=True)]
NoBrowserOption = Annotated[
    bool, typer.Option("--no-browser", help="Open no browser on this machine.")
]
PortOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=65535, help="Only this loopback port; default 1455, then 1457."
    ),
]
RedirectPortOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=65535, help="The port of the page that it ends at.")
]
BindOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Listen there; default 127.0.0.1 and ::1.")
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over-port", help="End another sign-in that waits on the port.")
]
ExpectOption = Annotated[
    str | None,
    typer.Option(
        metavar="WHO",
        help="Refuse the tokens of anybody else than this e-mail address, account or workspace id.",
    ),
]
RevokeOldOption = Annotated[
    bool,
    typer.Option(
        "--revoke-old", help="Revoke the sign-in that is replaced, instead of keeping it."
    ),
]
ToOption = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        metavar="TARGET",
        help="Sign in for another machine (see push): nothing becomes present here. Repeatable.",
    ),
]
ToOneOption = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TARGET", help="For another machine (see push): `finish` delivers it there."
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Also where somebody else is signed in there.")
]
NoWaitOption = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="Ask once about a one-time code; exit 5 if it is still pending."
    ),
]


def hand_down(context: typer.Context, subcommand: str) -> None:
    """Have what was given before a subcommand mean the same as behind it."""
    group: Any = context.command
    command = group.get_command(context, subcommand)
    given = {name: context.params[name] for name in context.params if _is_given(context, name)}
    flags = {option.name: option.opts[0] for option in group.params}
    known = {option.name for option in command.params}
    if strange := [flags[name] for name in given if name not in known]:
        words = f"{context.info_name} {subcommand}"
        raise WrongUsage(
            f"{' and '.join(strange)} does not go with `{words}`.",
            f"See: headless-login {words} --help",
        )
    context.default_map = {subcommand: given}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _chosen(context: typer.Context, name: str, value: str | None) -> str | None:
    """Return a value with a variable of its own, to which an option before it is preferred."""
    above = context.parent
    if above is None or _is_given(context, name) or not _is_given(above, name):  # type: ignore[arg-type]
        return value
    return str(above.params[name])


def options_of(
    above: typer.Context,
    context: Context,
    codex_home: str | None,
    client: tuple[str | None, str | None, str | None],
    qr: str,
    qr_file: str | None,
    timeout: float,
    fate: tuple[bool, bool, str | None],
) -> Options:
    """Return what `login` and `login start` are asked alike.

    `client`: issuer, client id, scope. `fate`: as `destination_of` takes it.

    An issuer that is not OpenAI's is named, and where it came from.

    Raises:
        WrongUsage: no sign-in can be made with it.
        IssuerTrouble: another provider cannot be discovered.
    """
    from headless_login.commands.context import Options

    if qr not in ("auto", "always", "never", "graphics"):
        raise WrongUsage("--qr takes auto, always, never or graphics.")
    if qr_file is not None and not qr_file.lower().endswith((".png", ".svg")):
        raise WrongUsage("--qr-file writes .png or .svg.", "Use: --qr-file code.png")
    folder, expected = destination_of(context, codex_home, *fate)
    provider = _provider_of(above, context, *client)
    options = Options(folder.home, folder, provider, qr=qr, qr_file=qr_file, timeout=timeout)
    return options._replace(expect=expected, store_anyway=folder.store_anyway)


def destination_of(
    context: Context,
    codex_home: str | None,
    store_anyway: bool,
    revoke_old: bool,
    expect: str | None,
) -> tuple[CodexFolder, tuple[str, ...]]:
    """Return where a sign-in goes, and who it has to be.

    Raises:
        WrongUsage: `--expect` names nobody.
    """
    from headless_login.delivery.destination import CodexFolder

    if expect is not None and not expect.strip():  # a script's variable that is not set
        raise WrongUsage("--expect names nobody.", "Use: --expect ada@example.com")
    folder = CodexFolder.find(codex_home, context.environ)
    folder = folder._replace(store_anyway=store_anyway, revoke_old=revoke_old)
    return folder, (expect.strip(),) if expect else ()


def check_target(
    to: Sequence[str] | None, replace: bool, revoke_old: bool, *, is_given: bool
) -> None:
    """Refuse (WrongUsage) what does not go with a target; `is_given`: a key or a token is."""
    if to and is_given and len(to) > 1:
        raise WrongUsage(
            "What comes on standard input goes to one --to.",
            "Sign in here, and copy it: headless-login push TARGET TARGET",
        )
    if to and revoke_old:
        raise WrongUsage("--revoke-old does not go with --to.", "Leave it out.")
    if replace and not to:
        raise WrongUsage("--replace goes with --to.", "Here, what is replaced is kept.")


def check_port(provider: Provider, port: int | None) -> None:
    """Refuse (WrongUsage) a port that OpenAI would refuse later: it is not registered."""
    from headless_login.oauth.provider import LOOPBACK_PORTS

    if provider.is_openai and provider.endpoints is None and port not in (None, *LOOPBACK_PORTS):
        raise WrongUsage(
            f"OpenAI sends the browser to port 1455 or 1457 only, not to {port}.",
            "Leave --port out, or forward one of those: ssh -L 1455:localhost:1455",
        )


def _provider_of(
    above: typer.Context,
    context: Context,
    issuer: str | None,
    client_id: str | None,
    scope: str | None,
) -> Provider:
    """Return Codex's client on its own or another server, or another client altogether.

    Raises:
        WrongUsage: the issuer is from the environment alone, and not on this machine: what could
            set that variable could have codes and verifiers sent to itself (RFC 9700 §4.4).
    """
    from headless_login.oauth import provider
    from headless_login.oauth.text import one_line

    issuer = _chosen(above, "issuer", issuer) or provider.CODEX_ISSUER
    client_id = _chosen(above, "client_id", client_id)
    is_codex = client_id in (None, "", provider.CODEX_CLIENT_ID)
    asked = provider.Provider(
        issuer, client_id or provider.CODEX_CLIENT_ID, scope or provider.CODEX_SCOPE
    )
    if not asked.is_openai:
        named = any(_is_given(each, "issuer") for each in (above, above.parent) if each)  # type: ignore[arg-type]
        if is_codex and not named and not asked.on_this_machine:
            raise WrongUsage(
                f"HEADLESS_LOGIN_ISSUER names {one_line(asked.host)}, which is neither OpenAI nor "
                "on this machine.",
                "If that is right, name it with --issuer. Else: unset HEADLESS_LOGIN_ISSUER",
            )
        source = "--issuer" if named else "HEADLESS_LOGIN_ISSUER"
        if not (context.output.events.wanted and context.output.events.strict):
            context.say(f"This signs in at {one_line(asked.host)}, not at OpenAI: from {source}.")
    if not asked.on_loopback:
        from headless_login.issuer.surroundings import check_surroundings

        check_surroundings(asked, context.environ)
    if is_codex:
        return asked
    return context.discover(issuer, str(client_id), scope or provider.OPENID_SCOPE)
