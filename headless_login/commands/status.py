"""`login status`: whether the Codex of this machine is signed in by auth.json, and as whom."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from headless_login.codex.home import FAILURE, CodexHome
from headless_login.codex.rules import PolicyPlace, Rules
from headless_login.codex.stored import StoredSignIn, described, read_stored
from headless_login.codex.verdict import Obstacle, first_obstacle, notes
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.text import one_line, printable, shell_word
from headless_login.terminal.output import utc

_NOTHING = StoredSignIn(mode=None)
_SKEW = 300  # seconds


def report_status(
    home: CodexHome,
    environ: Mapping[str, str],
    now: float,
    *,
    as_json: bool,
    place: PolicyPlace | None = None,
) -> tuple[str, int]:
    """Return what to print on standard output and the exit code: 0 signed in, 1 not.

    `now` is in seconds since the epoch; `place` is this machine's unless it is given.

    Raises:
        LocalTrouble: auth.json is there and cannot be read or understood.
    """
    stored = read_stored(home) or _NOTHING
    rules, obstacle = Rules(), None
    warnings = _warnings(home, stored, now)
    try:
        rules = Rules.read(home, place)
        obstacle = first_obstacle(stored, home, rules, environ, now)
        warnings += notes(home, rules, environ, place=place)
    except HeadlessLoginError as error:
        obstacle = Obstacle("policy", one_line(error.message), error.hint)
    if as_json:
        text = json.dumps(_document(home, stored, obstacle, rules.credential_store, warnings))
    else:
        lines = _lines(home, stored, obstacle, now)
        text = "\n".join([*lines, *(f"Warning: {text}" for text in warnings)])
    return text, 1 if obstacle else 0


def _warnings(home: CodexHome, stored: StoredSignIn, now: float) -> list[str]:
    warnings = _refusals(home, stored)
    if not stored.private:
        warnings.append(
            f"other users can read auth.json; run: chmod 600 {shell_word(home.auth_file)}"
        )
    if stored.mode == "chatgpt" and stored.refresh_token is None:
        warnings.append("there is no refresh token: the sign-in ends with the access token.")
    elif stored.mode == "chatgpt" and stored.workspace_id is None:
        warnings.append(
            "there is no account id, so Codex cannot renew the access token: the sign-in ends "
            "with it."
        )
    if stored.issued_at is not None and stored.issued_at > now + _SKEW:
        warnings.append("the tokens come from the future; is this machine's clock right?")
    return warnings


def _refusals(home: CodexHome, stored: StoredSignIn) -> list[str]:
    """Return what `token` has kept of a refresh token that the issuer takes no more."""
    # The journal is not loaded where it has nothing to tell.
    if not stored.refresh_token or not os.path.exists(home.own(FAILURE)):
        return []
    from headless_login.codex.journal import last_failure

    failure = last_failure(home, stored.refresh_token)
    if failure is None or failure.error != "refresh_refused":
        return []
    when = f"{_utc(failure.at):%Y-%m-%d %H:%M} UTC"
    return [
        f"the issuer refused the refresh token at {when} ({printable(failure.code, 40)}). Sign in "
        "again: headless-login login"
    ]


def _document(
    home: CodexHome,
    stored: StoredSignIn,
    obstacle: Obstacle | None,
    store: str,
    warnings: list[str],
) -> dict[str, object]:
    expires_at = stored.access_token_expires_at
    return {
        "signed_in": obstacle is None,
        "reason": obstacle.reason if obstacle else None,
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


def _lines(
    home: CodexHome, stored: StoredSignIn, obstacle: Obstacle | None, now: float
) -> list[str]:
    """Return who is signed in, or why nobody is and what to do; then what the file holds."""
    if obstacle is None:
        return [f"Signed in with {described(stored)}", *_freshness(stored, now), _kept(home)]
    head = [f"Not signed in: {obstacle.message}", obstacle.remedy]
    if stored.mode is None:
        return head
    return [*head, f"It holds {described(stored)}", *_freshness(stored, now), _kept(home)]


def _freshness(stored: StoredSignIn, now: float) -> list[str]:
    if stored.mode not in ("chatgpt", "chatgptAuthTokens", "agentIdentity"):
        return []
    expires_at = stored.access_token_expires_at
    refresh = "refresh token present, unchecked" if stored.refresh_token else "no refresh token"
    if expires_at is None:
        return [f"Access token without a readable expiry; {refresh}"]
    verb = "expired" if expires_at <= now else "valid until"
    lines = [f"Access token {verb} {_utc(expires_at):%Y-%m-%d %H:%M} UTC; {refresh}"]
    if expires_at <= now and stored.usable(now):
        lines.append("Codex renews it when it starts. To renew it now: headless-login token")
    return lines


def _kept(home: CodexHome) -> str:
    return f"Kept in {one_line(home.auth_file)}"


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))  # as `utc`
