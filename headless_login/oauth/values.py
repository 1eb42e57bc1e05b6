"""The small values that travel from the answer to the file; their secrets have no repr."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grant:
    """An authorization code with all that its exchange needs (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A one-time code that waits for its person; times are seconds from when it was made."""

    verification_uri: str
    user_code: str
    interval: float
    expires_in: float
    device_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint answers; all three are required (codex-facts.md §3)."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
