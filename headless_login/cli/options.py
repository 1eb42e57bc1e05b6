"""What the options of the commands mean together."""

from __future__ import annotations

from headless_login.errors import WrongUsage
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headless_login.commands.context import Context, Options
    from headless_login.delivery.destination import CodexFolder
    from headless_login.oauth.provider import Provider


def seconds_of(given: str) -> float:
    """Return a time-out in seconds, or raise WrongUsage."""
    try:
        if 0 < (seconds := float(given)) <= 86400:
            return seconds
    except ValueError:
        pass  # raised below
    raise WrongUsage(
        "--timeout takes seconds, more than 0 and at most 86400 (a day).",
        "For five minutes: --timeout 300",
    )


def options_of(
    context: Context,
    codex_home: str | None,
    client: tuple[str | None, str | None, str | None],
    qr: str,
    qr_file: str | None,
    timeout: str,
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
    seconds = seconds_of(timeout)
    folder, expected = destination_of(context, codex_home, *fate)
    provider = _provider_of(context, *client)
    options = Options(folder.home, folder, provider, qr=qr, qr_file=qr_file, timeout=seconds)
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


def check_phone(
    phone: bool, phone_bind: str | None, expect: str | None, ways: Sequence[str]
) -> None:
    """Refuse (WrongUsage) a phone's page whose answers nobody could confirm, or want.

    `ways` are the other options that say how to sign in.
    """
    if phone_bind is not None and not phone:
        raise WrongUsage("--phone-bind goes with --phone.", "Add --phone.")
    if not phone:
        return
    if others := [way for way in ways if way not in ("--paste-redirect", "--device-auth")]:
        raise WrongUsage(f"--phone and {others[0]} are different sign-ins.", "Choose one.")
    from headless_login.terminal.input import can_be_asked

    if not expect and not can_be_asked():
        raise WrongUsage(
            "--phone needs a terminal, on which it is confirmed who has signed in.",
            "Or name the account: --expect ada@example.com",
        )
    if phone_bind is not None:
        from headless_login.terminal.network import read_bind

        read_bind(phone_bind)


def _provider_of(
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
    from headless_login.oauth.text import one_line, unset

    named, environ = issuer is not None, context.environ
    issuer = (issuer if named else environ.get("HEADLESS_LOGIN_ISSUER")) or provider.CODEX_ISSUER
    client_id = environ.get("HEADLESS_LOGIN_CLIENT_ID") if client_id is None else client_id
    is_codex = client_id in (None, "", provider.CODEX_CLIENT_ID)
    asked = provider.Provider(
        issuer, client_id or provider.CODEX_CLIENT_ID, scope or provider.CODEX_SCOPE
    )
    if not asked.is_openai:
        if is_codex and not named and not asked.on_this_machine:
            raise WrongUsage(
                f"HEADLESS_LOGIN_ISSUER names {one_line(asked.host)}, which is neither OpenAI nor "
                "on this machine.",
                f"If that is right, name it with --issuer. Else: {unset('HEADLESS_LOGIN_ISSUER')}",
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
