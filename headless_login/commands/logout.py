"""`logout`: removes auth.json, and only if asked gives the refresh token back to the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headless_login.codex.auth_file import remove
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import WAITING
from headless_login.codex.pending.store import PendingSignIns
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.errors import HeadlessLoginError, LocalTrouble
from headless_login.oauth.provider import CODEX, Provider
from headless_login.terminal.output import Console, Listeners

REVOKE_TIMEOUT = 10.0  # seconds; codex-facts.md §7


def sign_out(
    home: CodexHome,
    listeners: Listeners,
    environ: Mapping[str, str],
    *,
    revoke: bool,
    revoke_timeout: float = REVOKE_TIMEOUT,
) -> None:
    """Remove auth.json and what is pending; with `revoke` ask the issuer, too.

    Its failure keeps nothing here.

    Raises:
        LocalTrouble: the file is still there.
    """
    console, revoked = listeners.console, None
    stored = _readable(home, console) if revoke else None
    if stored is not None:
        text, revoked = _revoke(stored, environ, revoke_timeout)
        console.say(text)
    if PendingSignIns(home).forget_all():
        console.say("What `login start` had begun is forgotten.")
    if removed := remove(home, on_wait=lambda: console.say(WAITING)):
        console.say(f"Signed out: the sign-in in {home.auth_file} is gone.")
    else:
        console.say(f"Nothing to do: there is no sign-in in {home.auth_file}")
    listeners.events.emit("signed_out", auth_file=home.auth_file, removed=removed, revoked=revoked)


def _readable(home: CodexHome, console: Console) -> StoredSignIn | None:
    try:
        return read_stored(home)
    except LocalTrouble as trouble:
        console.say(f"{trouble.message} So nothing can be revoked.")
        return None


def _revoke(
    stored: StoredSignIn, environ: Mapping[str, str], timeout: float
) -> tuple[str, bool | None]:
    """Return what to say, and whether the token is revoked; None where there was none."""
    if stored.mode == "apikey":
        return "There is nothing to revoke: an API key is deleted where it was made.", None
    if stored.refresh_token is None:
        return "There is no refresh token to revoke.", None
    try:
        provider = Provider(
            CODEX.issuer if stored.issuer is None else stored.issuer,
            CODEX.client_id if stored.client_id is None else stored.client_id,
        )
    except HeadlessLoginError:
        return (
            "The refresh token was not revoked: auth.json names no issuer that can be trusted.",
            False,
        )
    if _is_revoked(provider, stored.refresh_token, environ, timeout):
        return (
            "The refresh token is revoked; other machines that hold a copy are signed out, too.",
            True,
        )
    return "The refresh token could not be revoked: the issuer did not take it.", False


def _is_revoked(
    provider: Provider, refresh_token: str, environ: Mapping[str, str], timeout: float
) -> bool:
    try:
        from headless_login.issuer.client import IssuerClient

        if provider.client_id != CODEX.client_id:
            from headless_login.issuer.client import discover

            endpoints = discover(provider.issuer, environ=environ)
            provider = replace(provider, endpoints=endpoints)
        return IssuerClient(provider, environ=environ).revoke(refresh_token, timeout=timeout)
    except Exception:  # noqa: BLE001  # whatever it is, the file has to go
        return False
