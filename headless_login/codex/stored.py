"""Reading auth.json, whoever wrote it: offline, tolerant, and never guessing.

Older versions of Codex rewrite the file in place, so that a reader can meet half of it: what
does not parse is read again before it is judged (codex-facts.md §6).
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble
from headless_login.oauth.identity import Identity, claims_of, identity_of, numeric_date

_NOBODY = Identity(None, None, None)
_READINGS = 4
_PAUSE = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class StoredSignIn:
    """What an auth.json says; `mode` is None if it holds no sign-in."""

    mode: str | None
    identity: Identity = _NOBODY
    access_token_expires_at: float | None = None
    issued_at: float | None = None
    api_key: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    issuer: str | None = None
    client_id: str | None = None
    private: bool = True

    def usable(self, now: float) -> bool:
        """Tell whether Codex could work with it at `now`, as far as one can tell offline."""
        expired = self.access_token_expires_at is not None and self.access_token_expires_at <= now
        return self.mode is not None and (not expired or self.refresh_token is not None)


def read_stored(
    home: CodexHome, *, sleep: Callable[[float], None] = time.sleep
) -> StoredSignIn | None:
    """Return what auth.json says, or None where there is none.

    Raises:
        LocalTrouble: `store_failed`; it is there and cannot be read or understood, which is not
            the same as not being signed in.
    """
    problem = ""
    for reading in range(_READINGS):
        if reading:
            sleep(_PAUSE)
        try:
            content = _content(home.auth_file)
            document = None if content is None else json.loads(content)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or type(error).__name__}"
            break
        except (ValueError, RecursionError):
            problem = "is not valid JSON: it is torn or was changed by hand"
            continue
        if document is None and content is None:
            return None
        if isinstance(document, dict):
            return _interpret(document, home.auth_file)
        problem = "is JSON of another shape than Codex writes"
        break
    raise LocalTrouble(
        "store_failed",
        f"{home.auth_file} {problem}.",
        "Nothing was changed. Sign in again to replace it, or move it away.",
    )


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(4 * 1024 * 1024)
    except FileNotFoundError:
        return None


def _interpret(document: Mapping[str, object], path: str) -> StoredSignIn:
    tokens = document.get("tokens")
    key = _text(document, "OPENAI_API_KEY")
    private = os.name != "posix" or not stat.S_IMODE(os.stat(path).st_mode) & 0o077
    mode = _mode(document, key)
    if not isinstance(tokens, dict):
        return StoredSignIn(mode, api_key=key, private=private)
    access_claims = claims_of(_text(tokens, "access_token") or "") or {}
    id_claims = claims_of(_text(tokens, "id_token") or "") or {}
    provenance = tokens.get("oauth_provenance")
    made_by = provenance if isinstance(provenance, dict) else {}
    named = identity_of(id_claims)
    return StoredSignIn(
        mode,
        Identity(named.email, named.account_id or _text(tokens, "account_id"), named.plan),
        numeric_date(access_claims, "exp"),
        numeric_date(access_claims, "iat"),
        key,
        _text(tokens, "refresh_token"),
        _text(made_by, "issuer"),
        _text(made_by, "client_id"),
        private,
    )


def _mode(document: Mapping[str, object], key: str | None) -> str | None:
    """Resolve the mode as Codex does: the key wins where `auth_mode` is missing."""
    mode = _text(document, "auth_mode")
    tokens = document.get("tokens")
    held = isinstance(tokens, dict) and bool(_text(tokens, "access_token"))
    if mode == "chatgpt":
        return mode if held else None
    if mode == "apikey":
        return mode if key else None
    if mode is not None:
        return mode
    return "apikey" if key else "chatgpt" if held else None


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None
