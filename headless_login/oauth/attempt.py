"""One sign-in attempt, from its beginning to its grant: a value that can be kept and rebuilt."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from headless_login.errors import WrongUsage
from headless_login.oauth.provider import Endpoints, Provider, is_safe
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.text import is_one_word
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens
from headless_login.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import Any

    from headless_login.oauth.decodings import Pasted


class Issuer(Protocol):
    """What `poll` asks: an HTTP client of the attempt's provider."""

    def poll_device_code(self, code: DeviceCode) -> Grant | Tokens | AuthorizationPending:
        """Ask once whether the person has approved (RFC 8628 §3.4)."""


class Attempt(NamedTuple):
    """What waits for the person: a redirect URL to be pasted, or a one-time code to be approved.

    `expires_at` is in seconds since the epoch. `grant` is one that was won by a device code and
    not exchanged yet: the issuer gives it once. `expect` names the account that has to sign in, by
    an e-mail address or an id; nothing, if any may. `to` is the target that the credentials are
    for, empty for the Codex folder here; `replaces`: whoever is signed in there. `beside`: under
    which name the address of the same sign-in is pending, beside this one-time code.
    """

    provider: Provider
    awaits: AuthorizationRequest | DeviceCode
    expires_at: float
    grant: Grant | None = None
    issuer: Issuer | None = None
    expect: tuple[str, ...] = ()
    to: str = ""
    replaces: bool = False
    beside: str = ""

    @property
    def url(self) -> str:
        """The address that the person opens."""
        if isinstance(self.awaits, DeviceCode):
            return self.awaits.verification_uri
        return self.awaits.url

    @property
    def user_code(self) -> str | None:
        """The one-time code that the person types there; None where an answer comes back."""
        return self.awaits.user_code if isinstance(self.awaits, DeviceCode) else None

    @property
    def request(self) -> AuthorizationRequest:
        """The request that judges answers; to a device code there are none with its state."""
        if isinstance(self.awaits, AuthorizationRequest):
            return self.awaits
        return AuthorizationRequest(self.provider)

    def left(self, now: float) -> float:
        """Return for how many seconds it is still valid at `now` (seconds since the epoch)."""
        return max(0.0, self.expires_at - now)

    def accept(self, answer: str | Pasted) -> Grant:
        """Judge a pasted answer, in any of the forms that people paste.

        Raises:
            RejectedAnswer: the text is not this attempt's answer; another one may be pasted.
            SignInRefused: it is, and the issuer or the person refused.
        """
        return self.request.accept(answer)

    def poll(self) -> Grant | Tokens | AuthorizationPending:
        """Ask the issuer once whether the person has approved the one-time code.

        Not sooner than `awaits.interval` seconds after the time before (RFC 8628 §3.5).

        Raises:
            WrongUsage: it waits for an answer, or has no issuer that could be asked.
            SignInRefused: `access_denied`.
            TimedOut: `device_code_expired`.
            IssuerTrouble: `issuer_unreachable` or `tls_error` if asking again makes sense.
        """
        if self.issuer is None or not isinstance(self.awaits, DeviceCode):
            raise WrongUsage("This attempt has no one-time code that could be asked about.")
        return self.issuer.poll_device_code(self.awaits)

    def kept(self) -> dict[str, Any]:
        """Return what JSON can keep, until `rebuilt`; it holds secrets (verifier, device code)."""
        awaits = self.awaits._asdict()
        awaits.pop("provider", None)
        endpoints = self.provider.endpoints
        return {
            "kind": "device_code" if isinstance(self.awaits, DeviceCode) else _ADDRESS,
            "awaits": awaits,
            "provider": self.provider._asdict()
            | {"endpoints": None if endpoints is None else endpoints._asdict()},
            "grant": None if self.grant is None else self.grant._asdict(),
            "expires_at": self.expires_at,
            "expect": list(self.expect),
            "to": self.to,
            "replaces": self.replaces,
            "beside": self.beside,
        }

    @classmethod
    def rebuilt(cls, kept: Mapping[str, Any], issuer: Issuer | None = None) -> Attempt:
        """Return the attempt that `kept` describes; `issuer` is what it polls.

        Raises:
            ValueError: it is nothing that `kept` returned.
        """
        try:
            return _rebuilt(kept)._replace(issuer=issuer)
        except (TypeError, ValueError, KeyError, AttributeError, WrongUsage):
            pass  # raised below: the cause would carry secrets along
        raise ValueError("This is not an attempt that was kept.")

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Attempt({self.provider!r}, {self.awaits!r}, {self.expires_at!r})"


_ADDRESS = "authorization_request"
_STATE = r"[A-Za-z0-9._~-]+"  # the query takes it as it is
_VERIFIER = r"[A-Za-z0-9._~-]{43,128}"  # RFC 7636 §4.1


def _rebuilt(kept: Mapping[str, Any]) -> Attempt:
    fields = _whole(kept["provider"], Provider._fields)
    endpoints = fields.pop("endpoints")
    if endpoints is not None:
        endpoints = Endpoints(**checked(endpoints, truths=("iss_in_response",)))
    provider = Provider(**checked(fields), endpoints=endpoints)
    awaits: AuthorizationRequest | DeviceCode
    if kept["kind"] == _ADDRESS:
        awaits = _request(provider, kept["awaits"])
    else:
        awaits = _device_code(kept["awaits"])
    grant = Grant(**checked(kept["grant"])) if kept["grant"] else None
    (expires_at,) = checked({"": kept["expires_at"]}, numbers=("",)).values()
    attempt = Attempt(provider, awaits, expires_at, grant, expect=_texts(kept.get("expect", ())))
    goes = {"to": "", "replaces": False, "beside": ""}
    goes |= {name: kept[name] for name in goes if name in kept}
    if not set(str(goes["beside"])) <= set("0123456789abcdef"):  # it becomes the name of a file
        raise ValueError("beside")
    return attempt._replace(**checked(goes, truths=("replaces",)))


def _request(provider: Provider, kept: Mapping[str, Any]) -> AuthorizationRequest:
    import re

    fields = _whole(kept, AuthorizationRequest._fields[1:])  # all but the provider
    workspaces = _texts(fields.pop("allowed_workspace_ids"))
    checked(fields)
    forms = (_STATE, fields["state"]), (_VERIFIER, fields["verifier"])
    if not all(re.fullmatch(*form) for form in forms) or not is_safe(fields["redirect_uri"]):
        raise ValueError("state, verifier, redirect_uri")
    return AuthorizationRequest(provider, **fields, allowed_workspace_ids=workspaces)


def _device_code(kept: Mapping[str, Any]) -> DeviceCode:
    code = DeviceCode(**checked(kept, numbers=("interval", "expires_in")))
    words = (code.verification_uri, code.user_code, code.device_code)
    if not all(map(is_one_word, words)) or not is_safe(code.verification_uri) or code.interval <= 0:
        raise ValueError("verification_uri, user_code, device_code, interval")
    return code


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):  # a text is no list of its letters
        raise TypeError
    return tuple(checked(dict(enumerate(value))).values())


def _whole(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the fields if none is missing: a default in its place would be another attempt's."""
    if fields.keys() != set(names):
        raise KeyError
    return dict(fields)


def checked(
    fields: Mapping[Any, Any], *, numbers: Sequence[Any] = (), truths: Sequence[Any] = ()
) -> dict[Any, Any]:
    """Return the fields if each is a text, or a finite number or truth where it has to be.

    Raises:
        TypeError: one is something else.
        ValueError: a number is not finite.
    """
    for name, value in fields.items():
        wanted = (int, float) if name in numbers else bool if name in truths else str
        if not isinstance(value, wanted) or (isinstance(value, bool) and name not in truths):
            raise TypeError(name)
        if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # NaN
            raise ValueError(name)
    return dict(fields)
