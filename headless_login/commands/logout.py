"""`logout`: removes auth.json, and only if asked gives the refresh token back to the issuer."""

from __future__ import annotations

import os
from contextlib import suppress

from headless_login.codex.auth_file import AuthFile
from headless_login.codex.files import Folder, read_owned
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import no_refresh
from headless_login.codex.locks import WAITING
from headless_login.codex.pending.store import PendingAttempts
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import left_overs
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.codex.verdict import still_signed_in
from headless_login.commands.context import Context
from headless_login.errors import LocalTrouble
from headless_login.oauth.provider import CODEX, Provider
from headless_login.refresh import provider_of

REVOKE_TIMEOUT = 10.0  # seconds; codex-facts.md §7


def logout(
    home: CodexHome, context: Context, *, revoke: bool, revoke_timeout: float = REVOKE_TIMEOUT
) -> None:
    """Remove auth.json and what is pending; with `revoke` ask the issuer, too.

    Its failure keeps nothing here. `revoke_timeout` is in seconds.

    Raises:
        LocalTrouble: the file is still there.
    """
    revoked = None
    with no_refresh(home, context.say):  # what that brings must not come back afterwards
        stored = _readable(home, context) if revoke else None
        if stored is not None:
            text, revoked = _revoke(stored, context, revoke_timeout)
            context.say(text)
        with PendingAttempts.opened(home) as pending:
            if pending.forget_all():
                context.say("What `login start` had begun is forgotten.")
        removed = _remove(home, context)
    if removed:
        context.say(f"Signed out: the sign-in in {home.auth_file} is gone.")
    else:
        context.say(f"Nothing to do: there is no sign-in in {home.auth_file}")
    if left := still_signed_in(home, context.environ):
        context.say(f"Note: {left}")
    context.output.events.emit(
        "signed_out", auth_file=home.auth_file, removed=removed, revoked=revoked
    )


def _remove(home: CodexHome, context: Context) -> bool:
    """Remove auth.json, and return whether there was one; without one no lock is taken or made."""
    reason: OSError
    try:
        os.lstat(home.auth_file)  # not os.path.lexists: where it may not look, it says no
    except FileNotFoundError:
        if not _has_left_overs(home):
            return False
        with AuthFile.locked(home, on_wait=lambda: context.say(WAITING)) as auth_file:
            return auth_file.remove()
    except OSError as error:
        reason = error
    else:
        with AuthFile.locked(home, on_wait=lambda: context.say(WAITING)) as auth_file:
            return auth_file.remove()
    raise cannot_write(home.auth_file, reason)


def _has_left_overs(home: CodexHome) -> bool:
    """Return whether a write that was killed has left a file, with secrets in it."""
    with suppress(OSError), Folder.opened(home.path) as folder:
        return bool(left_overs(folder))
    return False


def _readable(home: CodexHome, context: Context) -> StoredSignIn | None:
    try:
        return read_stored(home, read=read_owned)
    except LocalTrouble as trouble:
        context.say(f"{trouble.message} So nothing can be revoked.")
        return None


def _revoke(stored: StoredSignIn, context: Context, timeout: float) -> tuple[str, bool | None]:
    """Return what to say, and whether the token is revoked; None where there was none."""
    if stored.mode == "apikey":
        return "There is nothing to revoke: an API key is deleted where it was made.", None
    if stored.refresh_token is None:
        return "There is no refresh token to revoke.", None
    try:
        provider = provider_of(stored)
    except LocalTrouble:
        return (
            "The refresh token was not revoked: auth.json names no issuer that can be trusted.",
            False,
        )
    if _is_revoked(provider, stored.refresh_token, context, timeout):
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
