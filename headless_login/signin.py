"""A sign-in in two steps, with the person between them: begin an attempt, complete its grant.

There is one such road for every way to win a grant, and nothing is written before its last step.
What is imported here at the top is all that beginning needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from headless_login.errors import SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX, LOOPBACK_PORTS
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from headless_login.codex.rules import Rules
    from headless_login.codex.stored import StoredSignIn
    from headless_login.delivery.destination import Destination
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.identity import Identity
    from headless_login.oauth.provider import Provider
    from headless_login.oauth.values import Grant, Tokens

LIFETIME = 900.0  # seconds
UNVERIFIED = (
    "Note: The issuer's signing keys could not be fetched, so the ID token's signature was not "
    "checked; it came straight from the issuer."
)


class SignedIn(NamedTuple):
    """A sign-in that is safely stored; times in seconds since the epoch.

    `steps_before_use` is what has to be done before Codex uses it; nothing, as a rule. `to_revoke`
    is what it has replaced, if that is to be revoked. `target` is the machine that it is for; empty
    for this one.
    """

    identity: Identity
    auth_file: str
    access_token_expires_at: float | None
    steps_before_use: tuple[str, ...] = ()
    to_revoke: StoredSignIn | None = None
    target: str = ""


def begin(
    provider: Provider = CODEX,
    rules: Rules | None = None,
    *,
    device: bool = False,
    port: int = LOOPBACK_PORTS[0],
    lifetime: float = LIFETIME,
    client: IssuerClient | None = None,
    expect: Sequence[str] = (),
    timeout: float | None = None,
    clock: Callable[[], float] = time.time,
) -> Attempt:
    """Begin an attempt: an address whose answer comes back, or with `device` a one-time code.

    `rules` are what `Destination.check` returned. `port` stands in the redirect URI. The attempt
    is valid for `lifetime` seconds. `client` asks for the code, for at most `timeout` seconds.
    `expect` names the account that has to sign in, by e-mail address or id. `clock` returns the
    seconds since the epoch.

    Raises:
        SignInRefused: `device_auth_disabled`.
        IssuerTrouble: the issuer gave no one-time code.
    """
    if device:
        attempt = _begin_with_code(provider, lifetime, client, timeout, clock)
        return attempt._replace(expect=(*expect,))
    workspaces = (rules.workspace_ids or ()) if rules else ()
    request = AuthorizationRequest(provider, redirect_uri_for(port), workspaces)
    return Attempt(provider, request, clock() + lifetime, expect=(*expect,))


def _begin_with_code(
    provider: Provider,
    lifetime: float,
    client: IssuerClient | None,
    timeout: float | None,
    clock: Callable[[], float],
) -> Attempt:
    from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient

    client = client or IssuerClient(provider)
    timeout = min(EXCHANGE_TIMEOUT, lifetime, timeout or EXCHANGE_TIMEOUT)
    code = client.request_device_code(timeout=timeout)
    code = code._replace(expires_in=min(code.expires_in, lifetime))
    return Attempt(provider, code, clock() + code.expires_in, issuer=client)


def rebuild(kept: Mapping[str, Any]) -> Attempt:
    """Return the attempt that `Attempt.kept` described, as from a web application's session.

    Raises:
        ValueError: it is nothing that `kept` returned.
    """
    attempt = Attempt.rebuilt(kept)
    if attempt.user_code is None:
        return attempt
    from headless_login.issuer.client import IssuerClient

    return attempt._replace(issuer=IssuerClient(attempt.provider))


def load() -> None:
    """Import everything that completing needs: an import must not fail after a code is spent."""
    import headless_login.codex.accounts
    import headless_login.codex.locks
    import headless_login.codex.running
    import headless_login.issuer.client
    from headless_login.codex.replace import signals_held

    with signals_held():  # in the middle of it, an exception makes a library panic
        import headless_login.oauth.id_token  # noqa: F401


def complete(
    grant: Grant | Tokens,
    attempt: Attempt,
    destination: Destination,
    *,
    rules: Rules | None = None,
    client: IssuerClient | None = None,
    timeout: float | None = None,
    now: Callable[[], float] = time.time,
    say: Callable[[str], object] = lambda _: None,
    on_exchanged: Callable[[], None] = lambda: None,
    confirm: Callable[[Identity], bool] | None = None,
) -> SignedIn:
    """Turn a grant, or tokens fresh from the issuer, into stored credentials.

    Without `rules` the destination is asked; `timeout` (seconds) bounds the exchange. `say` gets
    what the person should know; when `on_exchanged` is called, the grant is worth nothing any more.
    `confirm` judges who signed in, where anybody may have; the tokens of a wrong one are revoked.

    Raises:
        SignInRefused: the code, the identity or the workspace was refused; nothing is written.
        IssuerTrouble: the issuer gave no usable answer; nothing is written.
        LocalTrouble: the credentials could not be stored; the hint says where they are.
    """
    load()
    from headless_login.codex.auth_file import Credentials
    from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
    from headless_login.oauth.id_token import verify_id_token
    from headless_login.oauth.identity import claims_of, numeric_date
    from headless_login.oauth.values import Tokens

    provider, rules = attempt.provider, rules or destination.check(say)
    rules.check_method("chatgpt")
    client = client or IssuerClient(provider)
    timeout = min(EXCHANGE_TIMEOUT, timeout or EXCHANGE_TIMEOUT)
    tokens = grant if isinstance(grant, Tokens) else client.exchange(grant, timeout=timeout)
    on_exchanged()
    keys = client.signing_keys()
    _tell(say, UNVERIFIED if keys is None else "", client.clock_trouble)
    identity = verify_id_token(tokens, provider, keys, now=now())
    _admit(identity, attempt, rules, confirm, lambda: client.revoke(tokens.refresh_token))
    to_revoke = destination.store(Credentials.chatgpt(tokens, identity, provider, now()), say)
    expires_at = numeric_date(claims_of(tokens.access_token) or {}, "exp")
    steps = destination.steps_before_use(rules)
    return SignedIn(identity, destination.name, expires_at, (*steps,), to_revoke, attempt.to)


def _tell(say: Callable[[str], object], *texts: str) -> None:
    for text in filter(None, texts):
        say(text)


def _admit(
    identity: Identity,
    attempt: Attempt,
    rules: Rules,
    confirm: Callable[[Identity], bool] | None,
    revoke: Callable[[], object],
) -> None:
    """Refuse (SignInRefused) an identity that is not allowed, expected or confirmed."""
    try:
        rules.check_workspace(identity.account_id)
        identity.check(attempt.expect)
        if confirm is not None and not confirm(identity):
            raise SignInRefused(
                "unexpected_account",
                f"The sign-in of {identity.name} was not confirmed. Nothing was written.",
            )
    except BaseException:  # Ctrl-C at the question, too
        if confirm is not None:
            revoke()
        raise
