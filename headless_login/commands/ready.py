"""What every way to sign in begins and ends with: a machine that is ready, and tokens stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.rules import Config
from headless_login.terminal.output import Console, Listeners

if TYPE_CHECKING:
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.provider import Provider
    from headless_login.oauth.values import Grant, Tokens
    from headless_login.signin import SignedIn


@dataclass(frozen=True, slots=True)
class Ready:
    """A Codex home in which a sign-in can be stored, and the rules that hold there."""

    home: CodexHome
    config: Config


def make_ready(home: CodexHome, console: Console) -> Ready:
    """Find out what can be known to fail before a code is spent on it.

    Raises:
        SignInRefused: config.toml forces API keys.
        LocalTrouble: auth.json cannot be written.
    """
    config = Config.read(home)
    config.check_method("chatgpt")
    if home.make():
        console.say(f"Made the Codex folder {home.path}.")
    check_writable(home)
    if config.store_warning:
        console.say(f"Note: {config.store_warning}")
    return Ready(home, config)


def finish_sign_in(
    grant: Grant | Tokens,
    provider: Provider,
    ready: Ready,
    listeners: Listeners,
    client: IssuerClient,
    *,
    timeout: float,
    on_exchanged: Callable[[], None] = lambda: None,
) -> SignedIn:
    """Exchange, verify and store, and say who is signed in; raises as `signin.complete`."""
    from headless_login.commands.words import show_signed_in
    from headless_login.signin import complete
    from headless_login.terminal.output import utc

    signed_in = complete(
        grant,
        provider,
        ready.home,
        config=ready.config,
        client=client,
        timeout=timeout,
        remark=lambda text: listeners.console.say(f"Note: {text}"),
        on_exchanged=on_exchanged,
    )
    show_signed_in(listeners.console, signed_in)
    expires_at = signed_in.access_token_expires_at
    listeners.events.emit(
        "signed_in",
        auth_file=signed_in.auth_file,
        target=None,
        email=signed_in.identity.email,
        account_id=signed_in.identity.account_id,
        plan=signed_in.identity.plan,
        access_token_expires_at=None if expires_at is None else utc(expires_at),
    )
    return signed_in
