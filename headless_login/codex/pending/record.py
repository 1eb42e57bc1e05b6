"""One pending sign-in, as a value and as the content of its file.

The digest notices damage and edits. It is no defence against somebody who may write there: they
can read the verifier, and auth.json, as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from headless_login.codex.moment import Moment
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.provider import Endpoints, Provider
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import DeviceCode, Grant

_FORMAT = 1


class Damaged(Exception):
    """The content is not what was written."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What waits for the person: a redirect URL to be pasted, or a one-time code to be approved.

    `left` are the seconds for which it is still valid. `grant` is one that was won, by a device
    code, and that nobody has answered yet.
    """

    awaits: AuthorizationRequest | DeviceCode
    provider: Provider
    left: float
    grant: Grant | None = None

    @property
    def identifier(self) -> str:
        """The name of its file, from which nobody learns state or device code."""
        if isinstance(self.awaits, DeviceCode):
            return identifier_of(self.awaits.device_code)
        return identifier_of(self.awaits.state)


def identifier_of(state: str) -> str:
    """Return under which name the sign-in with this state, or this device code, is found."""
    return hashlib.sha256(state.encode(errors="surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a sign-in was begun: path and identity (device, inode) of the Codex folder."""

    target: str
    folder: tuple[int, int]
    host: str
    moment: Moment
    lifetime: float


def write_record(sign_in: PendingSignIn, origin: Origin) -> bytes:
    """Return the content of the file."""
    kind = "device_code" if isinstance(sign_in.awaits, DeviceCode) else "authorization_request"
    awaits = asdict(sign_in.awaits)
    awaits.pop("provider", None)
    document = {
        "format": _FORMAT,
        "kind": kind,
        "awaits": awaits,
        "provider": asdict(sign_in.provider),
        "grant": None if sign_in.grant is None else asdict(sign_in.grant),
        "origin": asdict(origin),
    }
    return json.dumps(document | {"digest": _digest(document)}, indent=2).encode()


def read_record(content: bytes) -> tuple[PendingSignIn, Origin]:
    """Return what a file holds; `left` is its whole lifetime.

    Raises:
        Damaged: it holds nothing that was written by `write_record`.
    """
    try:
        document = json.loads(content)
        if document.pop("digest") == _digest(document) and document["format"] == _FORMAT:
            return _interpret(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, HeadlessLoginError):
        pass  # raised below: the cause would carry the content along
    raise Damaged


def _interpret(document: dict[str, Any]) -> tuple[PendingSignIn, Origin]:
    origin = document["origin"]
    moment = Moment(**origin.pop("moment"))
    begun = Origin(**origin | {"folder": tuple(origin["folder"]), "moment": moment})
    fields = document["provider"]
    endpoints = fields.pop("endpoints")
    provider = Provider(**fields, endpoints=Endpoints(**endpoints) if endpoints else None)
    awaits: AuthorizationRequest | DeviceCode
    if document["kind"] == "device_code":
        awaits = DeviceCode(**document["awaits"])
    else:
        workspaces = tuple(document["awaits"].pop("allowed_workspace_ids"))
        awaits = AuthorizationRequest(
            provider, **document["awaits"], allowed_workspace_ids=workspaces
        )
    grant = Grant(**document["grant"]) if document["grant"] else None
    for value in (moment, begun, provider, provider.endpoints, awaits, grant):
        _check_types(value)
    return PendingSignIn(awaits, provider, begun.lifetime, grant), begun


def _check_types(value: object) -> None:
    """Raise TypeError where a text, number or truth is something else."""
    if not is_dataclass(value):
        return
    for field in fields(value):
        wanted = _TYPES.get(str(field.type))
        held = getattr(value, field.name)
        if wanted and (
            not isinstance(held, wanted) or (isinstance(held, bool) and bool not in wanted)
        ):
            raise TypeError(field.name)


_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "float": (int, float), "bool": (bool,)}


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
