"""Sign in to Codex on a machine that has no browser and no tunnel.

Everything public can be imported from here; each name is loaded when it is first used, so that
`import headless_login` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headless_login.codex.auth_file import Credentials, remove, store
    from headless_login.codex.home import CodexHome
    from headless_login.errors import (
        HeadlessLoginError,
        IssuerTrouble,
        LocalTrouble,
        RejectedAnswer,
        SignInRefused,
        TimedOut,
        WrongUsage,
    )
    from headless_login.oauth.identity import Identity
    from headless_login.oauth.provider import CODEX, Provider
    from headless_login.oauth.request import AuthorizationRequest
    from headless_login.oauth.values import Grant, Tokens
    from headless_login.signin import complete

_HOMES = {
    "CODEX": "oauth.provider",
    "AuthorizationRequest": "oauth.request",
    "CodexHome": "codex.home",
    "Credentials": "codex.auth_file",
    "Grant": "oauth.values",
    "HeadlessLoginError": "errors",
    "Identity": "oauth.identity",
    "IssuerTrouble": "errors",
    "LocalTrouble": "errors",
    "Provider": "oauth.provider",
    "RejectedAnswer": "errors",
    "SignInRefused": "errors",
    "TimedOut": "errors",
    "Tokens": "oauth.values",
    "WrongUsage": "errors",
    "complete": "signin",
    "remove": "codex.auth_file",
    "store": "codex.auth_file",
}

__all__ = [
    "CODEX",
    "AuthorizationRequest",
    "CodexHome",
    "Credentials",
    "Grant",
    "HeadlessLoginError",
    "Identity",
    "IssuerTrouble",
    "LocalTrouble",
    "Provider",
    "RejectedAnswer",
    "SignInRefused",
    "TimedOut",
    "Tokens",
    "WrongUsage",
    "complete",
    "remove",
    "store",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
