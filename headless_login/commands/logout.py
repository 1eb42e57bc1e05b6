"""`logout`: removes the present sign-in, with `--all` every kept one, and revokes only if asked."""

from __future__ import annotations

import os

from headless_login.codex.accounts import Accounts, Listing, has_left_overs, list_accounts
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import no_refresh
from headless_login.codex.locks import WAITING
from headless_login.codex.pending.store import PendingAttempts
from headless_login.codex.preflight import cannot_write
from headless_login.codex.stored import StoredSignIn, described
from headless_login.codex.verdict import still_signed_in
from headless_login.commands.context import Context
from headless_login.errors import LocalTrouble
from headless_login.oauth.provider import CODEX, Provider

REVOKE_TIMEOUT = 10.0  # seconds; codex-facts.md §7
_REVOKE_ALL_TIMEOUT = 30.0  # seconds for all of them together


def logout(
    home: CodexHome,
    context: Context,
    *,
    revoke: bool,
    every: bool = False,
    revoke_timeout: float = REVOKE_TIMEOUT,
) -> None:
    """Remove auth.json and what is pending, and `every` kept sign-in; with `revoke` at the issuer.

    Its failure keeps nothing here. `revoke_timeout` is in seconds, for each.

    Raises:
        LocalTrouble: something of it is still there.
    """
    revoked = None
    with no_refresh(home, context.say):  # what that brings must not come back afterwards
        listing = list_accounts(home)
        if revoke:
            revoked = _revoke_all(home, listing, context, revoke_timeout, every=every)
        with PendingAttempts.opened(home) as pending:
            if pending.forget_all():
                context.say("What `login start` had begun is forgotten.")
        removed, listing = _remove(home, context, listing, every=every)
    if removed:
        context.say(f"Signed out: the sign-in in {home.auth_file} is gone.")
    elif not every or not (listing.kept or listing.unusable):
        context.say(f"Nothing to do: there is no sign-in in {home.auth_file}")
    _tell_kept(listing, context, every=every)
    if left := still_signed_in(home, context.environ):
        context.say(f"Note: {left}")
    context.output.events.emit(
        "signed_out",
        auth_file=home.auth_file,
        removed=removed,
        revoked=revoked,
        kept=0 if every else len(listing.kept),
    )
    if every and listing.unusable:
        raise LocalTrouble("store_failed", " ".join(listing.unusable), "Remove it by hand.")


def _remove(
    home: CodexHome, context: Context, before: Listing, *, every: bool
) -> tuple[bool, Listing]:
    """Remove auth.json and perhaps what is kept; without any of it no lock is taken or made.

    Returns whether there was an auth.json, and what was kept.
    """
    reason: OSError
    try:
        os.stat(home.auth_file)  # not os.path.exists: where it may not look, it says no
    except FileNotFoundError:
        if not has_left_overs(home) and not (every and before.kept):
            return False, before
    except OSError as error:
        reason = error
        raise cannot_write(home.auth_file, reason) from None
    with Accounts.locked(home, on_wait=lambda: context.say(WAITING)) as accounts:
        listing = accounts.listing
        for account in listing.kept if every else ():
            accounts.forget(account)
        return accounts.auth_file.remove(), listing


def _tell_kept(listing: Listing, context: Context, *, every: bool) -> None:
    """Say what is left, or what is forgotten."""
    names = ", ".join(described(account.stored) for account in listing.kept)
    if names and every:
        context.say(f"Forgotten, too: {names}.")
    elif names:
        context.say(
            f"Still kept, and not signed in: {names} (headless-login accounts). To forget them, "
            "too: headless-login logout --all"
        )
    if listing.unusable and not every:
        context.say(*(f"Note: {text}" for text in listing.unusable))


def _revoke_all(
    home: CodexHome, listing: Listing, context: Context, timeout: float, *, every: bool
) -> bool | None:
    """Revoke the present sign-in, and with `every` all kept ones; says how each went.

    Returns whether all that could be revoked is; None if there was nothing.
    """
    if listing.trouble is not None:
        context.say(f"{listing.trouble.message} So nothing can be revoked.")
    elif listing.present is None and os.path.exists(home.auth_file):
        context.say("There is no sign-in in it that could be revoked.")
    found = [listing.present] if listing.present else []
    if every:
        found += listing.kept
    left = context.countdown(_REVOKE_ALL_TIMEOUT)
    outcomes: list[bool] = []
    for account in found:
        text, revoked = _revoke(account.stored, context, min(timeout, left()))
        context.say(f"{described(account.stored)}: {text}" if every else text)
        if revoked is not None:
            outcomes.append(revoked)
    return all(outcomes) if outcomes else None


def revoke_replaced(stored: StoredSignIn, context: Context) -> None:
    """Revoke the sign-in that a new one has replaced, as `login --revoke-old` asks; says so.

    The new one is stored by then, and no failure changes that.
    """
    text, _ = _revoke(stored, context, REVOKE_TIMEOUT)
    context.say(f"The sign-in that was replaced: {text}")


def _revoke(stored: StoredSignIn, context: Context, timeout: float) -> tuple[str, bool | None]:
    """Return what to say, and whether the token is revoked; None where there was none."""
    if stored.mode == "apikey":
        return "There is nothing to revoke: an API key is deleted where it was made.", None
    if stored.refresh_token is None:
        return "There is no refresh token to revoke.", None
    from headless_login.refresh import provider_of

    try:
        provider = provider_of(stored)
    except LocalTrouble:
        return (
            "The refresh token was not revoked: auth.json names no issuer that can be trusted.",
            False,
        )
    if timeout > 0 and _is_revoked(provider, stored.refresh_token, context, timeout):
        return (
            "The refresh token is revoked; other machines that hold a copy are signed out, too.",
            True,
        )
    return "The refresh token could not be revoked: the issuer did not take it.", False


def _is_revoked(provider: Provider, refresh_token: str, context: Context, timeout: float) -> bool:
    try:
        if provider.client_id != CODEX.client_id:
            provider = context.discover(provider.issuer, provider.client_id, provider.scope)
        return context.client(provider).revoke(refresh_token, timeout=timeout)
    except Exception:  # noqa: BLE001  # whatever it is, the file has to go
        return False
