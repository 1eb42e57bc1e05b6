"""auth.json as Codex 0.169.0 writes it (codex-facts.md §5), stored, set aside and removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import remove_file, replace_file
from headless_login.errors import LocalTrouble
from headless_login.oauth.identity import Identity
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import base64url
from headless_login.oauth.values import Tokens


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one sign-in leaves behind: ChatGPT's tokens, or an API key; always the whole file."""

    content: bytes = field(repr=False)

    @classmethod
    def chatgpt(
        cls, tokens: Tokens, identity: Identity, provider: Provider, now: float
    ) -> Credentials:
        """Return a ChatGPT sign-in made at `now` (seconds since the epoch)."""
        # The file names the issuer and client to which Codex will send its refresh requests.
        provenance = {"issuer": provider.issuer, "client_id": provider.client_id}
        return cls._of(
            {
                "auth_mode": "chatgpt",
                "OPENAI_API_KEY": None,
                "tokens": {
                    "id_token": tokens.id_token,
                    "access_token": tokens.access_token,
                    "refresh_token": tokens.refresh_token,
                    "oauth_provenance": provenance,
                    "login_owner_id": base64url(os.urandom(32)),
                    "account_id": identity.account_id,
                },
                "last_refresh": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
        )

    @classmethod
    def api_key(cls, key: str) -> Credentials:
        """Return a sign-in with an API key."""
        return cls._of({"auth_mode": "apikey", "OPENAI_API_KEY": key})

    @classmethod
    def _of(cls, document: dict[str, object]) -> Credentials:
        return cls(json.dumps(document, indent=2).encode())


def store(
    home: CodexHome, credentials: Credentials, *, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Replace auth.json under Codex's locks; tells whether it had to be written in place.

    Raises:
        LocalTrouble: `store_failed`; the old file is as it was.
    """
    reason: OSError
    try:
        with codex_locks(home, on_wait=on_wait):
            return replace_file(home.auth_file, credentials.content)
    except OSError as error:
        reason = error
    raise cannot_write(home.auth_file, reason)


def remove(home: CodexHome, *, on_wait: Callable[[], None] = lambda: None) -> bool:
    """Remove auth.json under Codex's locks; tells whether there was one.

    Raises:
        LocalTrouble: `store_failed`; it is still there.
    """
    reason: OSError
    try:
        os.lstat(home.auth_file)  # not os.path.lexists: where it may not look, it says no
        with codex_locks(home, on_wait=on_wait):
            return remove_file(home.auth_file)
    except FileNotFoundError:
        return False
    except OSError as error:
        reason = error
    raise cannot_write(home.auth_file, reason)


def set_aside(credentials: Credentials) -> str | None:
    """Save fresh credentials in a new 0600 file outside the Codex folder and return its path.

    A code works once: where auth.json cannot be written after the exchange, the tokens must not
    be lost with it. Returns None if no place takes them.
    """
    for parent in (None, os.path.expanduser("~"), "/dev/shm"):  # noqa: S108
        with suppress(OSError):
            return _save_in_new_folder(parent, credentials.content)
    return None


def _save_in_new_folder(parent: str | None, content: bytes) -> str:
    from tempfile import mkdtemp

    folder = mkdtemp(prefix="headless-login-", dir=parent)  # 0700
    try:
        path = os.path.join(os.path.abspath(folder), "auth.json")
        replace_file(path, content)
    except OSError:
        with suppress(OSError):
            os.rmdir(folder)
        raise
    return path


def store_or_set_aside(
    home: CodexHome, credentials: Credentials, *, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Store, or else raise a `store_failed` that tells where the credentials are instead."""
    failed: LocalTrouble
    try:
        return store(home, credentials, on_wait=on_wait)
    except LocalTrouble as error:
        failed = error
    aside = set_aside(credentials)
    if aside is None:
        hint = "The new sign-in could not be saved anywhere else: sign in again after mending that."
    else:
        hint = f"The new sign-in is safe in {aside}; mend that, then move it to {home.auth_file}"
    raise LocalTrouble("store_failed", failed.message, hint)
