"""What Codex 0.169 can read as an auth.json, and as the ID token in it [seen]: no more, no less."""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterable, Mapping

from headless_login.codex.rules import WAY_OF_MODE
from headless_login.oauth.identity import AUTH, PROFILE
from headless_login.oauth.request import base64url


class Misshapen(ValueError):
    """Codex could not use this file; says why, as what comes after the file's name."""


class Torn(Misshapen):
    """It is not even JSON, but may be in a moment, when it is written whole."""


def read_shape(content: bytes) -> dict[str, object]:
    """Return the JSON object that an auth.json holds, or raise Misshapen."""
    problem: Misshapen
    try:
        document = _parsed(content.decode())
    except ValueError:
        problem = Torn(_why_not_json(content))
    except RecursionError:
        problem = Misshapen("is nested too deeply to be read")
    else:
        if not isinstance(document, _Object):
            raise Misshapen("is JSON of another shape than Codex writes")
        if broken := _broken_rule(document):
            raise Misshapen(f"cannot be used by Codex: {broken}")
        return document
    raise problem


class _Object(dict[str, object]):
    """A JSON object that knows which of its members stand there more than once."""

    twins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: list[tuple[str, object]]) -> _Object:
        """Return what `json` has read; the last of twins counts."""
        read = cls(pairs)
        if len(read) < len(pairs):
            names = [name for name, _ in pairs]
            read.twins = frozenset(name for name in read if names.count(name) > 1)
        return read


def _parsed(text: str) -> object:
    """Parse JSON; raises ValueError or RecursionError."""
    # Integers as floats: Python refuses those of thousands of digits, JSON does not.
    return json.loads(
        text, parse_int=float, parse_constant=_refuse_constant, object_pairs_hook=_Object.of
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _why_not_json(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte-order mark, which Codex does not read"
    return "is not valid JSON: it is torn or was changed by hand"


# What each field has to be, whatever the mode: True is a text, False a text or nothing, `bool` may
# be left out and is no text.
_Shape = Mapping[str, "bool | type[bool] | _Shape"]
_TOKENS: _Shape = {
    "id_token": True,  # nosec B105
    "access_token": True,  # nosec B105
    "refresh_token": True,  # nosec B105
    "account_id": False,
    "login_owner_id": False,
    "oauth_provenance": {"issuer": True, "client_id": True},
}
_SHAPE: _Shape = {
    "OPENAI_API_KEY": False,
    "personal_access_token": False,  # nosec B105
    "agent_identity": False,
    "bedrock_api_key": {"api_key": True, "region": True},
    "bedrock_access_keys": {
        "access_key_id": True,
        "secret_access_key": True,  # nosec B105
        "session_token": False,  # nosec B105
        "region": False,
    },
    "tokens": _TOKENS,
}
_ID_CLAIMS: _Shape = {
    "email": False,
    PROFILE: {"email": False},
    AUTH: {
        "chatgpt_account_id": False,
        "chatgpt_user_id": False,
        "user_id": False,
        "chatgpt_plan_type": False,
        "chatgpt_account_is_fedramp": bool,
    },
}
_URL_SAFE = str.maketrans("-_", "+/")
_TIME = re.compile(
    r"(?!0000)(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)",
    re.A,
)


def _broken_rule(document: _Object) -> str:
    """Return what Codex 0.169 could not read [seen]; a later version's mode has its own rules."""
    if twice := _twice(document, ("auth_mode", "last_refresh", *_SHAPE)):
        return twice
    mode = document.get("auth_mode")
    if not isinstance(mode, str | None) or mode == "":
        return "its auth_mode is not a mode"
    if mode is not None and mode not in WAY_OF_MODE:
        return ""
    if misfit := _misfit(document, _SHAPE):
        return misfit
    if not _is_time(document.get("last_refresh")):
        return "its last_refresh is not a time"
    tokens = document.get("tokens")
    if isinstance(tokens, dict) and not _is_id_token(str(tokens["id_token"])):
        return "its id_token is not a JSON Web Token"
    return ""


def _twice(value: _Object, names: Iterable[str]) -> str:
    return next((f"it has {name} twice" for name in names if name in value.twins), "")


def _misfit(value: _Object, shape: _Shape) -> str:
    if twice := _twice(value, shape):
        return twice
    if not all(map(_is_text, value)):
        return "one of its names is not a text"
    found = (_misfit_of(name, value, wanted) for name, wanted in shape.items())
    return next(filter(None, found), "")


def _misfit_of(name: str, value: _Object, wanted: bool | type[bool] | _Shape) -> str:
    found = value.get(name)
    if wanted is bool:
        wrong = name in value and not isinstance(found, bool)
        return f"its {name} is neither true nor false" if wrong else ""
    if isinstance(wanted, bool):
        wrong = not _is_text(found) and (wanted or found is not None)
        return f"its {name} is {'missing or ' * wanted}not a text" if wrong else ""
    if found is None or isinstance(wanted, type):
        return ""
    if not isinstance(found, _Object):
        return f"its {name} {'are' if name.endswith('s') else 'is'} not an object"
    return _misfit(found, wanted)


def _is_text(value: object) -> bool:
    """Return whether it is a text without half a character, or a byte that is no UTF-8."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _is_id_token(token: str) -> bool:
    """Return whether Codex can decode it: three parts, none empty, the claims without padding."""
    header, payload, signature = (*token.split("."), "", "", "")[:3]
    if not (header and payload and signature) or payload.endswith("="):
        return False
    try:
        content = a2b_base64(payload.translate(_URL_SAFE) + "=" * (-len(payload) % 4))
        # Bytes that are no UTF-8 are nothing to Codex in what it does not read.
        claims = _parsed(content.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return False
    return (
        base64url(content) == payload
        and isinstance(claims, _Object)
        and not _misfit(claims, _ID_CLAIMS)
    )


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return value is None
    if not (found := _TIME.fullmatch(value)):
        return False
    from datetime import datetime

    try:
        datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except ValueError:
        return False
    return True
