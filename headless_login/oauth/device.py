"""The judgement of what the device endpoints answer (codex-facts.md §4): the code, then the polls.

The error's own word counts before the status, because pending, expired and denied may all come
with the same one.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Mapping
from datetime import datetime

from headless_login.errors import HeadlessLoginError, IssuerTrouble, SignInRefused, TimedOut
from headless_login.oauth.provider import Provider, is_safe
from headless_login.oauth.request import challenge_of
from headless_login.oauth.token_response import (
    is_success,
    read_document,
    read_error,
    read_token_response,
    read_trouble,
)
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens

LONGEST_WAIT = 900.0  # seconds; codex-facts.md §4
_USUAL_INTERVAL, _SHORTEST_INTERVAL = 5.0, 1.0  # seconds; RFC 8628 §3.2
_LONGEST_INTERVAL = 60.0  # what is longer is absurd: the person would wait for us

_USER_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,30}[A-Za-z0-9]")


def code_parameters(provider: Provider) -> dict[str, str]:
    """Return what is sent to get a one-time code (codex-facts.md §4, RFC 8628 §3.1)."""
    parameters = {"client_id": provider.client_id}
    return parameters | ({"scope": provider.scope} if provider.dialect.device_grant_type else {})


def poll_parameters(provider: Provider, code: DeviceCode) -> dict[str, str]:
    """Return what is sent to ask for the approval (codex-facts.md §4, RFC 8628 §3.4)."""
    dialect = provider.dialect
    parameters = {dialect.device_code_name: code.device_code}
    if dialect.device_grant_type:
        more = {"grant_type": dialect.device_grant_type, "client_id": provider.client_id}
    else:
        more = {"user_code": code.user_code}
    return parameters | more


def read_device_code(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: Provider, now: float
) -> DeviceCode:
    """Return the one-time code; `now` is the time of day in seconds since the epoch.

    Raises:
        SignInRefused: `device_auth_disabled`.
        IssuerTrouble: everything that is no code.
    """
    document = read_document(body)
    user_code = document.get("user_code") or document.get("usercode")
    device_code = document.get(provider.dialect.device_code_name)
    path = provider.dialect.verification_path
    page = provider.below(path) if path else document.get("verification_uri")
    if (
        is_success(status)
        and isinstance(device_code, str)
        and device_code
        and isinstance(user_code, str)
        and _USER_CODE.fullmatch(user_code)
        and isinstance(page, str)
        and is_safe(page)
    ):
        return DeviceCode(
            page,
            user_code,
            _interval(document.get("interval")),
            _expires_in(document, now),
            device_code,
        )
    if status == 404:
        raise disabled()
    raise read_trouble(status, headers, body) or IssuerTrouble(
        "token_response_invalid",
        f"The issuer's answer is not usable: HTTP {status} without a one-time code.",
        "Try again later, or use --paste-redirect.",
    )


def disabled() -> SignInRefused:
    """Return the error for an issuer without device codes."""
    return SignInRefused("device_auth_disabled", "The issuer does not offer device codes here.")


def read_poll(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: Provider
) -> Grant | Tokens | AuthorizationPending:
    """Return Codex's grant or RFC 8628's tokens, or that the person has not answered yet.

    Raises:
        SignInRefused: `access_denied`; the person said no.
        TimedOut: `device_code_expired`.
        IssuerTrouble: `issuer_unreachable` for what may pass; anything else will not.
    """
    document = read_document(body)
    if is_success(status) and provider.dialect.redirect_path:
        return _grant(document, provider.below(provider.dialect.redirect_path))
    if is_success(status):
        return read_token_response(status, headers, body, refreshable=False)
    word, description = read_error(document)
    told = f"{word} {description}".lower()
    if "slow_down" in word:
        return AuthorizationPending(slow_down=True)
    if ending := _ending(told):
        raise ending
    trouble = read_trouble(status, headers, body)
    if trouble is not None:
        raise trouble
    # Codex's issuer answers 403 and 404 in any words, or none, while it waits.
    if "pending" in word or "unknown" in word or status in provider.dialect.pending_statuses:
        return AuthorizationPending()
    raise IssuerTrouble(
        "token_response_invalid",
        f"The issuer's answer is not usable: HTTP {status}{f' ({word})' if word else ''}.",
        "Start a new sign-in, or use --paste-redirect.",
    )


def expired() -> TimedOut:
    """Return the error for a code that was not used in time."""
    return TimedOut(
        "The one-time code has expired before it was used.", error="device_code_expired"
    )


def lost() -> IssuerTrouble:
    """Return the error for a success whose body never arrived: it must not be asked for twice."""
    return IssuerTrouble(
        "token_response_invalid",
        "The issuer accepted the sign-in, but its answer was lost on its way.",
        "Start a new sign-in: an answer is given once.",
    )


def _ending(told: str) -> HeadlessLoginError | None:
    if "expired" in told:
        return expired()
    if "denied" in told or "declined" in told:
        return SignInRefused("access_denied", "The sign-in was denied.")
    return None


def _grant(document: Mapping[str, object], redirect_uri: str) -> Grant:
    """Check the server's own PKCE pair: a verifier that does not fit is not this code's."""
    names = ("authorization_code", "code_challenge", "code_verifier")
    code, challenge, verifier = (document.get(name) for name in names)
    if not (isinstance(code, str) and code and isinstance(challenge, str)):
        raise lost()
    if not isinstance(verifier, str) or not verifier.isascii():
        raise lost()
    if not hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode()):
        raise IssuerTrouble(
            "token_response_invalid",
            "The issuer's answer is not usable: its code_challenge does not fit its code_verifier.",
        )
    return Grant(code, verifier, redirect_uri)


def _number(value: object) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,6}(?:\.[0-9]{1,6})?\s*", value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and abs(value) < 1e12 else None
    return None


def _interval(value: object) -> float:
    """Return the pause between polls: at least 1 second, 5 without a sensible answer."""
    seconds = _number(value)
    if seconds is None or not 0 <= seconds <= _LONGEST_INTERVAL:
        return _USUAL_INTERVAL
    return max(seconds, _SHORTEST_INTERVAL)


def _expires_in(document: Mapping[str, object], now: float) -> float:
    """Return the seconds that are left; a time in the past is a clock that is wrong."""
    left = _number(document.get("expires_in"))
    at = document.get("expires_at")
    if isinstance(at, str) and _number(at) is None:
        try:
            left = datetime.fromisoformat(at).timestamp() - now
        except (ValueError, OverflowError):
            left = None
    elif (seconds := _number(at)) is not None:
        left = seconds - now
    return min(left, LONGEST_WAIT) if left is not None and left > 0 else LONGEST_WAIT
