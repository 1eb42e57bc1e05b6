"""The small values that travel from the answer to the file; their secrets have no repr."""

from __future__ import annotations

from headless_login.typed import NamedTuple


class Grant(NamedTuple):
    """An authorization code with all that its exchange needs (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

    code: str
    verifier: str
    redirect_uri: str

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Grant(redirect_uri={self.redirect_uri!r})"


class DeviceCode(NamedTuple):
    """A one-time code that waits for its person (RFC 8628 §3.2).

    `interval` (between two polls) and `expires_in` (from when it was made) are seconds.
    """

    verification_uri: str
    user_code: str
    interval: float
    expires_in: float
    device_code: str

    def __repr__(self) -> str:
        """Show no secret."""
        return (
            f"DeviceCode(verification_uri={self.verification_uri!r}, user_code={self.user_code!r}, "
            f"interval={self.interval!r}, expires_in={self.expires_in!r})"
        )


class Tokens(NamedTuple):
    """What the token endpoint answers (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).

    From Codex's server all three are required (codex-facts.md §3); elsewhere the refresh token may
    be empty.
    """

    id_token: str
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        """Show no secret."""
        return "Tokens()"


class Refreshed(NamedTuple):
    """What a refresh answers (RFC 6749 §6); what it leaves out (None) keeps its value."""

    id_token: str | None
    access_token: str | None
    refresh_token: str | None

    def __repr__(self) -> str:
        """Show no secret."""
        return "Refreshed()"


class AuthorizationPending(NamedTuple):
    """The person has not approved yet; `slow_down` asks for longer pauses (RFC 8628 §3.5)."""

    slow_down: bool = False
