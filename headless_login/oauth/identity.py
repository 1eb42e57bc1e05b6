"""Who a token says is signed in: its claims read, not yet believed.

Reading needs no cryptography, so that `status` stays light; `id_token.py` does the believing.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping

from headless_login.errors import SignInRefused
from headless_login.oauth.text import printable
from headless_login.typed import NamedTuple

Claims = Mapping[str, object]

# codex-facts.md §5: OpenAI's own claims stand below these names.
AUTH = "https://api.openai.com/auth"
PROFILE = "https://api.openai.com/profile"


LEEWAY = 300  # seconds; RFC 7519 §4.1.4 allows "no more than a few minutes"


class Identity(NamedTuple):
    """The person, account and plan that a token names; what it does not name is None.

    Somebody else is who has another account id or another user id.
    """

    email: str | None = None
    account_id: str | None = None
    plan: str | None = None
    user_id: str | None = None

    @property
    def name(self) -> str:
        """The person in words that can be shown."""
        return printable(self.email or "an account without an e-mail address", 100)

    def is_of(self, who: str) -> bool:
        """Return whether that is its e-mail address, or its account or user id."""
        is_email = self.email is not None and self.email.casefold() == who.casefold()
        return is_email or who in (self.account_id, self.user_id)

    def check(self, expected: Iterable[str]) -> None:
        """Refuse (`unexpected_account`) an identity that is not each of those that are expected."""
        for who in expected:
            if not self.is_of(who):
                account = f"account {self.account_id}" if self.account_id else "no account id"
                raise SignInRefused(
                    "unexpected_account",
                    f"This is the sign-in of {self.name} ({printable(account, 60)}), not of "
                    f"{printable(who, 100)}. Nothing was written.",
                )


def read_part(token: str, index: int) -> Claims | None:
    """Return the JSON object in one part of a compact JWS (RFC 7515 §3.1), or None."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    encoded = parts[index].replace("-", "+").replace("_", "/")
    try:
        value = json.loads(binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def claims_of(token: str) -> Claims | None:
    """Return the claims of a JWT without verifying anything, or None if it is not one."""
    return read_part(token, 1)


def identity_of(claims: Claims) -> Identity:
    """Return whom the claims name."""
    auth, profile = _object(claims, AUTH), _object(claims, PROFILE)
    return Identity(
        email=_text(claims, "email") or _text(profile, "email"),
        account_id=_text(auth, "chatgpt_account_id"),
        plan=_text(auth, "chatgpt_plan_type"),
        user_id=_text(auth, "chatgpt_user_id"),
    )


def numeric_date(claims: Claims, name: str) -> float | None:
    """Return a NumericDate claim in seconds since the epoch (RFC 7519 §2), or None."""
    value = claims.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    # Beyond the year 9999 nothing can be shown; NaN compares false as well.
    return float(value) if usable and 0 <= value < 253402300800 else None  # type: ignore[arg-type,operator]


def _object(claims: Claims, name: str) -> Claims:
    value = claims.get(name)
    return value if isinstance(value, dict) else {}


def _text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


def clock_trouble(issuer_is_ahead: float, now: float) -> str:
    """Return by how much this machine's clock is wrong, if it matters; both are in seconds."""
    if abs(issuer_is_ahead) <= LEEWAY:
        return ""
    from datetime import UTC, datetime

    own, issuers = (
        f"{datetime.fromtimestamp(int(moment), UTC):%Y-%m-%d %H:%M:%S}"
        for moment in (now, now + issuer_is_ahead)
    )
    by = abs(issuer_is_ahead)
    much = next(
        f"{by / unit:.0f} {name}"
        for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes"))
        if round(by / unit) >= 2
    )
    way = "behind" if issuer_is_ahead > 0 else "ahead"
    told = f"This machine's clock says {own} UTC, the issuer's {issuers}"
    return f"{told}: set it right, it is {much} {way}."
