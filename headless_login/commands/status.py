"""`login status`: whether and as whom this machine is signed in; offline and tolerant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from headless_login.codex.api_key import masked
from headless_login.codex.home import CodexHome
from headless_login.codex.rules import Rules
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.text import one_line, printable
from headless_login.terminal.output import utc

_NOTHING = StoredSignIn(mode=None)
_SKEW = 300  # seconds


def report_status(
    home: CodexHome, environ: Mapping[str, str], now: float, *, as_json: bool
) -> tuple[str, int]:
    """Return what to print on standard output and the exit code: 0 signed in, 1 not.

    Raises:
        LocalTrouble: auth.json is there and cannot be read or understood.
    """
    stored = read_stored(home) or _NOTHING
    store, store_warning = _credential_store(home)
    warnings = [text for text in (store_warning, *_warnings(stored, environ, now)) if text]
    signed_in = stored.usable(now)
    if as_json:
        text = json.dumps(_document(home, stored, signed_in, store, warnings))
    else:
        text = "\n".join([*_lines(home, stored, now), *(f"Warning: {text}" for text in warnings)])
    return text, 0 if signed_in else 1


def _credential_store(home: CodexHome) -> tuple[str, str]:
    try:
        rules = Rules.read(home)
    except HeadlessLoginError as error:
        return "file", one_line(error.message)  # the sign-in can be told all the same
    return rules.credential_store, rules.store_warning


def _warnings(stored: StoredSignIn, environ: Mapping[str, str], now: float) -> list[str]:
    warnings = shadowed_by(environ)
    if not stored.private:
        warnings.append("other users can read auth.json; run: chmod 600 on it.")
    if stored.mode == "chatgpt" and stored.refresh_token is None:
        warnings.append("there is no refresh token: the sign-in ends with the access token.")
    if stored.issued_at is not None and stored.issued_at > now + _SKEW:
        warnings.append("the tokens come from the future; is this machine's clock right?")
    return warnings


def shadowed_by(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable that Codex prefers to auth.json."""
    return [
        f"{name} is set; Codex may use that instead of auth.json."
        for name in ("CODEX_API_KEY", "CODEX_ACCESS_TOKEN")
        if environ.get(name, "").strip()
    ]


def _document(
    home: CodexHome, stored: StoredSignIn, signed_in: bool, store: str, warnings: list[str]
) -> dict[str, object]:
    expires_at = stored.access_token_expires_at
    return {
        "signed_in": signed_in,
        "mode": stored.mode,
        "email": stored.identity.email,
        "account_id": stored.identity.account_id,
        "plan": stored.identity.plan,
        "access_token_expires_at": None if expires_at is None else utc(expires_at),
        "refresh_token": "present" if stored.refresh_token else "absent",
        "auth_file": home.auth_file,
        "credential_store": store,
        "warnings": warnings,
    }


def _lines(home: CodexHome, stored: StoredSignIn, now: float) -> list[str]:
    if stored.mode is None:
        return [f"Not signed in: there is no sign-in in {one_line(home.auth_file)}"]
    if stored.mode == "apikey":
        key = printable(masked(stored.api_key or ""))
        return [f"Signed in with the API key {key}", _kept(home)]
    if stored.mode != "chatgpt":
        mode = printable(stored.mode, 40)
        return [f"Signed in, in a mode this version does not know: {mode}", _kept(home)]
    who = printable(stored.identity.email or "an account without an e-mail address", 100)
    plan = f" ({printable(stored.identity.plan, 30)} plan)" if stored.identity.plan else ""
    head = "Signed in with" if stored.usable(now) else "Not signed in any more, but it was with"
    return [f"{head} ChatGPT as {who}{plan}", _freshness(stored, now), _kept(home)]


def _freshness(stored: StoredSignIn, now: float) -> str:
    expires_at = stored.access_token_expires_at
    refresh = "refresh token present, unchecked" if stored.refresh_token else "no refresh token"
    if expires_at is None:
        return f"Access token without a readable expiry; {refresh}"
    verb = "expired" if expires_at <= now else "valid until"
    return f"Access token {verb} {_utc(expires_at):%Y-%m-%d %H:%M} UTC; {refresh}"


def _kept(home: CodexHome) -> str:
    return f"Kept in {one_line(home.auth_file)}"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
