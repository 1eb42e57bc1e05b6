"""What becomes of a grant: exchanged, verified, checked against the rules here, then stored.

There is one such road for every way to win a grant, and nothing is written before its last step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from headless_login.codex.auth_file import Credentials, store_or_set_aside
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import WAITING
from headless_login.codex.rules import Config
from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
from headless_login.oauth.id_token import verify_id_token
from headless_login.oauth.identity import Identity, claims_of, numeric_date
from headless_login.oauth.provider import Provider
from headless_login.oauth.values import Grant, Tokens

UNVERIFIED = (
    "The issuer's signing keys could not be fetched, so the ID token's signature was not checked; "
    "it came straight from the issuer."
)
IN_PLACE = "auth.json could not be replaced by renaming, so it was written in place."


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that is safely on disk; times in seconds since the epoch."""

    identity: Identity
    auth_file: str
    access_token_expires_at: float | None


def complete(
    grant: Grant | Tokens,
    provider: Provider,
    home: CodexHome,
    *,
    config: Config | None = None,
    client: IssuerClient | None = None,
    timeout: float = EXCHANGE_TIMEOUT,
    now: Callable[[], float] = time.time,
    remark: Callable[[str], None] = lambda _: None,
    on_exchanged: Callable[[], None] = lambda: None,
) -> SignedIn:
    """Turn a grant, or tokens fresh from the issuer, into an auth.json.

    `remark` gets what the person should know on the way; `on_exchanged` is called when the tokens
    are there, and so the grant is worth nothing any more.

    Raises:
        SignInRefused: the code, the identity or the workspace was refused; nothing is written.
        IssuerTrouble: the issuer gave no usable answer; nothing is written.
        LocalTrouble: the file could not be written; the hint tells where the tokens are.
    """
    config = config or Config.read(home)
    client = client or IssuerClient(provider)
    tokens = grant if isinstance(grant, Tokens) else client.exchange(grant, timeout=timeout)
    on_exchanged()
    keys = client.signing_keys()
    if keys is None:
        remark(UNVERIFIED)
    identity = verify_id_token(tokens, provider, keys, now=now())
    config.check_method("chatgpt")
    config.check_workspace(identity.account_id)
    credentials = Credentials.chatgpt(tokens, identity, provider, now())
    if store_or_set_aside(home, credentials, on_wait=lambda: remark(WAITING)):
        remark(IN_PLACE)
    expires_at = numeric_date(claims_of(tokens.access_token) or {}, "exp")
    return SignedIn(identity, home.auth_file, expires_at)
