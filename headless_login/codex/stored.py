"""Reading auth.json: offline, tolerant of every version of Codex, and never guessing."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Mapping

from headless_login.codex.files import read_regular
from headless_login.codex.home import CodexHome
from headless_login.codex.keys import masked
from headless_login.codex.rules import WAY_OF_MODE
from headless_login.codex.shape import Misshapen as Misshapen
from headless_login.codex.shape import Torn, read_shape
from headless_login.errors import LocalTrouble
from headless_login.oauth.identity import Identity, claims_of, identity_of, numeric_date
from headless_login.oauth.text import printable
from headless_login.typed import NamedTuple

_NO_IDENTITY = Identity()
_READINGS = 4
_PAUSE = 0.05  # seconds
_OPAQUE_LIVES = 8 * 86400.0  # seconds that Codex gives a token whose end cannot be read


class StoredSignIn(NamedTuple):
    """What an auth.json says; `mode` is None if it holds no sign-in.

    Files of Codex before 0.169 are silent about issuer and client (None). By `workspace_id` Codex
    judges; the account id of `identity` may come from a token. `api_key` is an API key, or a
    personal access token. `last_refresh` is a time as RFC 3339 writes it.
    """

    mode: str | None
    identity: Identity = _NO_IDENTITY
    access_token_expires_at: float | None = None
    issued_at: float | None = None
    api_key: str | None = None
    refresh_token: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    private: bool = True
    workspace_id: str | None = None
    unknown_mode: bool = False
    access_token: str | None = None
    last_refresh: str | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"StoredSignIn({self.mode!r}, {self.identity!r})"

    @property
    def has_workspace(self) -> bool:
        """Whether Codex judges it by its workspace, as policy may demand (codex-facts.md §10)."""
        way = WAY_OF_MODE.get(self.mode or "", "chatgpt")
        return way == "chatgpt" and self.mode != "personalAccessToken"

    def usable(self, now: float) -> bool:
        """Return whether Codex could work with it at `now`, as far as one can tell offline."""
        expired = self.access_token_expires_at is not None and self.access_token_expires_at <= now
        # Without an account id Codex never refreshes (codex-facts.md section 13).
        renewable = self.refresh_token and self.workspace_id and self.mode == "chatgpt"
        known = self.mode is not None and not self.unknown_mode
        return known and (not expired or bool(renewable))

    def seconds_left(self, now: float) -> float:
        """Return for how many seconds the access token is valid, unknown ends as Codex does."""
        if self.access_token is None:
            return 0.0
        if self.access_token_expires_at is not None:
            return self.access_token_expires_at - now
        return _OPAQUE_LIVES if self.refreshed_at + _OPAQUE_LIVES > now else 0.0

    @property
    def refreshed_at(self) -> float:
        """When the tokens came (seconds since the epoch); 0 where that cannot be read."""
        from datetime import datetime

        try:
            return datetime.fromisoformat(self.last_refresh or "").timestamp()
        except (ValueError, OverflowError):
            return 0.0


def read_stored(
    home: CodexHome,
    *,
    read: Callable[[str], tuple[bytes, os.stat_result]] = read_regular,
    sleep: Callable[[float], None] = time.sleep,
) -> StoredSignIn | None:
    """Return what auth.json says, or None where there is none; `read` as `read_regular`.

    Raises:
        LocalTrouble: `store_failed`; it is there and cannot be read or understood, which is not
            the same as not being signed in.
    """
    problem = ""
    for reading in range(_READINGS):
        if reading:
            sleep(_PAUSE)
        try:
            content, status = read(home.auth_file)
            private = os.name != "posix" or not stat.S_IMODE(status.st_mode) & 0o077
            return interpret(content)._replace(private=private)
        except FileNotFoundError:
            if sys.platform != "win32" or not os.path.isfile(home.path):
                return None
            problem = "cannot be read: Not a directory"  # which Windows does not say
            break
        except Torn as torn:
            problem = str(torn)
        except Misshapen as misshapen:
            problem = str(misshapen)
            break
        except OSError as error:
            problem = f"cannot be read: {error.strerror or type(error).__name__}"
            break
    raise LocalTrouble(
        "store_failed",
        f"{home.auth_file} {problem}.",
        "Nothing was changed. Sign in again to replace it, or move it away.",
    )


def interpret(content: bytes) -> StoredSignIn:
    """Return what the content of an auth.json says; raises Misshapen if Codex cannot read it."""
    document = read_shape(content)
    mode = _mode(document)
    known = StoredSignIn(mode, unknown_mode=bool(mode and mode not in WAY_OF_MODE))
    if mode == "apikey":  # what stands beside the key is not used
        return known._replace(api_key=_text(document, "OPENAI_API_KEY"))
    if mode == "personalAccessToken":
        return known._replace(api_key=_text(document, "personal_access_token"))
    if mode == "agentIdentity":
        claims = claims_of(_text(document, "agent_identity") or "") or {}
        names = ("email", "account_id", "plan_type", "chatgpt_user_id")
        who = Identity(*(_text(claims, name) for name in names))
        ends = numeric_date(claims, "exp")
        return known._replace(
            identity=who, workspace_id=who.account_id, access_token_expires_at=ends
        )
    if mode not in (None, "chatgpt", "chatgptAuthTokens"):
        return known
    tokens = _object(document, "tokens")
    access_claims = claims_of(_text(tokens, "access_token") or "") or {}
    made_by = _object(tokens, "oauth_provenance")
    return known._replace(
        identity=_identity(tokens, access_claims),
        access_token_expires_at=numeric_date(access_claims, "exp"),
        issued_at=numeric_date(access_claims, "iat"),
        api_key=_text(document, "OPENAI_API_KEY"),
        refresh_token=_text(tokens, "refresh_token"),
        issuer=_given(made_by, "issuer"),
        client_id=_given(made_by, "client_id"),
        workspace_id=_text(tokens, "account_id"),
        access_token=_text(tokens, "access_token"),
        last_refresh=_text(document, "last_refresh"),
    )


def described(stored: StoredSignIn) -> str:
    """Return what a sign-in is made with and whose it is, as `ChatGPT as ada@example.com`."""
    if stored.mode in ("apikey", "personalAccessToken"):
        key = printable(masked(stored.api_key or ""))
        personal = stored.mode == "personalAccessToken"
        return f"the personal access token {key} (unchecked)" if personal else f"the API key {key}"
    if stored.mode in ("bedrockApiKey", "bedrockAccessKeys"):
        return "Amazon Bedrock keys"
    if stored.unknown_mode:
        return f"a sign-in of the mode {printable(stored.mode, 40)}"
    plan = f" ({printable(stored.identity.plan, 30)} plan)" if stored.identity.plan else ""
    kind = "an agent identity (unchecked) of" if stored.mode == "agentIdentity" else "ChatGPT as"
    return f"{kind} {stored.identity.name}{plan}"


def _identity(tokens: Mapping[str, object], access_claims: Mapping[str, object]) -> Identity:
    """Return who is named: by the file as Codex sends it, the ID token, the access token."""
    first = identity_of(claims_of(_text(tokens, "id_token") or "") or {})
    second = identity_of(access_claims)
    return Identity(
        first.email or second.email,
        _text(tokens, "account_id") or first.account_id or second.account_id,
        first.plan or second.plan,
        first.user_id or second.user_id,
    )


# What each mode needs; without it the file holds no sign-in.
_NEEDED = {
    "apikey": "OPENAI_API_KEY",
    "personalAccessToken": "personal_access_token",
    "agentIdentity": "agent_identity",
    "bedrockApiKey": "bedrock_api_key",
    "bedrockAccessKeys": "bedrock_access_keys",
}


def _mode(document: Mapping[str, object]) -> str | None:
    """Resolve the mode as Codex does (codex-facts.md §11); None if nothing in it signs in."""
    mode = _text(document, "auth_mode")
    if mode is None:
        given = (
            m for m in ("personalAccessToken", "apikey") if document.get(_NEEDED[m]) is not None
        )
        mode = next(given, "chatgpt")
    if mode in ("chatgpt", "chatgptAuthTokens"):
        tokens = _object(document, "tokens")
        return mode if _text(tokens, "access_token") or _text(tokens, "refresh_token") else None
    needed = _NEEDED.get(mode)
    return mode if needed is None or document.get(needed) else None


def _given(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None


def _object(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _text(document: Mapping[str, object], name: str) -> str | None:
    return _given(document, name) or None
