"""Sign in to Codex on a machine that has no browser and no tunnel.

A sign-in is three steps: `begin` an attempt, win its grant (`Attempt.accept` for what the person
pastes, `Attempt.poll` for a one-time code), `complete` it into a destination. Everything public can
be imported from here; each name is loaded when it is first used, so that `import headless_login`
costs nothing.
"""

from __future__ import annotations

import sys

# `python -m headless_login` puts the present folder first: what lies there must not be run.
if sys.argv[:1] == ["-m"] and sys.path and not sys.flags.safe_path:
    del sys.path[0]

TYPE_CHECKING = False  # as type checkers know it; the module takes a bare start

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headless_login.codex.auth_file import Credentials as Credentials
    from headless_login.codex.home import CodexHome as CodexHome
    from headless_login.codex.rules import PolicyPlace as PolicyPlace
    from headless_login.codex.rules import Rules as Rules
    from headless_login.codex.stored import StoredSignIn as StoredSignIn
    from headless_login.delivery.destination import CodexFolder as CodexFolder
    from headless_login.delivery.destination import Destination as Destination
    from headless_login.errors import Cancelled as Cancelled
    from headless_login.errors import Finding as Finding
    from headless_login.errors import HeadlessLoginError as HeadlessLoginError
    from headless_login.errors import IssuerTrouble as IssuerTrouble
    from headless_login.errors import LocalTrouble as LocalTrouble
    from headless_login.errors import RejectedAnswer as RejectedAnswer
    from headless_login.errors import SignInRefused as SignInRefused
    from headless_login.errors import TimedOut as TimedOut
    from headless_login.errors import WrongUsage as WrongUsage
    from headless_login.issuer.client import IssuerClient as IssuerClient
    from headless_login.oauth.attempt import Attempt as Attempt
    from headless_login.oauth.attempt import Issuer as Issuer
    from headless_login.oauth.decodings import Pasted as Pasted
    from headless_login.oauth.identity import Identity as Identity
    from headless_login.oauth.provider import CODEX as CODEX
    from headless_login.oauth.provider import Dialect as Dialect
    from headless_login.oauth.provider import Endpoints as Endpoints
    from headless_login.oauth.provider import Provider as Provider
    from headless_login.oauth.request import AuthorizationRequest as AuthorizationRequest
    from headless_login.oauth.values import AuthorizationPending as AuthorizationPending
    from headless_login.oauth.values import DeviceCode as DeviceCode
    from headless_login.oauth.values import Grant as Grant
    from headless_login.oauth.values import Refreshed as Refreshed
    from headless_login.oauth.values import Tokens as Tokens
    from headless_login.signin import SignedIn as SignedIn
    from headless_login.signin import begin as begin
    from headless_login.signin import complete as complete
    from headless_login.signin import rebuild as rebuild

_NAMES = {
    "codex.auth_file": "Credentials",
    "codex.home": "CodexHome",
    "codex.rules": "PolicyPlace Rules",
    "codex.stored": "StoredSignIn",
    "delivery.destination": "CodexFolder Destination",
    "errors": "Cancelled Finding HeadlessLoginError IssuerTrouble LocalTrouble RejectedAnswer "
    "SignInRefused TimedOut WrongUsage",
    "issuer.client": "IssuerClient",
    "oauth.decodings": "Pasted",
    "oauth.attempt": "Attempt Issuer",
    "oauth.identity": "Identity",
    "oauth.provider": "CODEX Dialect Endpoints Provider",
    "oauth.request": "AuthorizationRequest",
    "oauth.values": "AuthorizationPending DeviceCode Grant Refreshed Tokens",
    "signin": "SignedIn begin complete rebuild",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return [*__all__, "__version__"]
