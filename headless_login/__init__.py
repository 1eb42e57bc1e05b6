"""Sign in to Codex on a machine that has no browser and no tunnel.

A sign-in is three steps: `begin` an attempt, win its grant (`Attempt.accept` for what the person
pastes, `Attempt.poll` for a one-time code), `complete` it into a destination. Everything public can
be imported from here; each name is loaded when it is first used, so that `import headless_login`
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headless_login.codex.auth_file import Credentials
    from headless_login.codex.home import CodexHome
    from headless_login.codex.rules import Rules
    from headless_login.delivery.destination import CodexFolder, Destination
    from headless_login.errors import (
        Cancelled,
        HeadlessLoginError,
        IssuerTrouble,
        LocalTrouble,
        RejectedAnswer,
        SignInRefused,
        TimedOut,
        WrongUsage,
    )
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.attempt import Attempt, Issuer
    from headless_login.oauth.identity import Identity
    from headless_login.oauth.provider import CODEX, Dialect, Endpoints, Provider
    from headless_login.oauth.request import AuthorizationRequest
    from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens
    from headless_login.signin import SignedIn, begin, complete, rebuild

_MODULES = {
    "codex.auth_file": ("Credentials",),
    "codex.home": ("CodexHome",),
    "codex.rules": ("Rules",),
    "delivery.destination": ("CodexFolder", "Destination"),
    "errors": (
        "Cancelled",
        "HeadlessLoginError",
        "IssuerTrouble",
        "LocalTrouble",
        "RejectedAnswer",
        "SignInRefused",
        "TimedOut",
        "WrongUsage",
    ),
    "issuer.client": ("IssuerClient",),
    "oauth.attempt": ("Attempt", "Issuer"),
    "oauth.identity": ("Identity",),
    "oauth.provider": ("CODEX", "Dialect", "Endpoints", "Provider"),
    "oauth.request": ("AuthorizationRequest",),
    "oauth.values": ("AuthorizationPending", "DeviceCode", "Grant", "Tokens"),
    "signin": ("SignedIn", "begin", "complete", "rebuild"),
}

__all__ = [
    "CODEX",
    "Attempt",
    "AuthorizationPending",
    "AuthorizationRequest",
    "Cancelled",
    "CodexFolder",
    "CodexHome",
    "Credentials",
    "Destination",
    "DeviceCode",
    "Dialect",
    "Endpoints",
    "Grant",
    "HeadlessLoginError",
    "Identity",
    "Issuer",
    "IssuerClient",
    "IssuerTrouble",
    "LocalTrouble",
    "Provider",
    "RejectedAnswer",
    "Rules",
    "SignInRefused",
    "SignedIn",
    "TimedOut",
    "Tokens",
    "WrongUsage",
    "begin",
    "complete",
    "rebuild",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used."""
    for module, names in _MODULES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return [*__all__, "__version__"]
