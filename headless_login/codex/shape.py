"""The shape that Codex demands of auth.json: where it is broken, Codex reads none of it.

Each rule was tried on Codex 0.169.0, which then reports an error and not that it is signed out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from headless_login.oauth.identity import claims_of


class Misshapen(ValueError):
    """Codex could not use this file; says why, as what comes after the file's name."""


class Torn(Misshapen):
    """It is not even JSON, but may be in a moment, when somebody has finished writing it."""


def read_shape(content: bytes) -> dict[str, object]:
    """Return the JSON object that an auth.json holds, or raise Misshapen."""
    try:
        # Integers as floats: Python refuses those of thousands of digits, JSON does not.
        document = json.loads(content.decode(), parse_int=float, parse_constant=_refuse_constant)
    except ValueError:
        problem: Misshapen = Torn(_why_not_json(content))
    except RecursionError:
        problem = Misshapen("is nested too deeply to be read")
    else:
        if not isinstance(document, dict):
            raise Misshapen("is JSON of another shape than Codex writes")
        if broken := _broken_rule(document):
            raise Misshapen(f"cannot be used by Codex: {broken}")
        return document
    raise problem


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _why_not_json(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte-order mark, which Codex does not read"
    return "is not valid JSON: it is torn or was changed by hand"


def _broken_rule(document: Mapping[str, object]) -> str:
    mode = document.get("auth_mode")
    if not isinstance(mode, str | None) or mode == "":
        return "its auth_mode is not a mode"
    if mode not in (None, "chatgpt", "apikey"):
        return ""  # of a later version, which has rules of its own
    if not isinstance(document.get("OPENAI_API_KEY"), str | None):
        return "its OPENAI_API_KEY is not a text"
    if not _is_time(document.get("last_refresh")):
        return "its last_refresh is not a time"
    tokens = document.get("tokens")
    if not isinstance(tokens, dict | None):
        return "its tokens are not an object"
    return "" if tokens is None else _broken_rule_of_tokens(tokens)


def _broken_rule_of_tokens(tokens: Mapping[str, object]) -> str:
    for name in ("id_token", "access_token", "refresh_token"):
        if not isinstance(tokens.get(name), str):
            return f"its {name} is missing or not a text"
    if claims_of(str(tokens["id_token"])) is None:
        return "its id_token is not a JSON Web Token"
    if not isinstance(tokens.get("account_id"), str | None):
        return "its account_id is not a text"
    if not _is_provenance(tokens.get("oauth_provenance")):
        return "its oauth_provenance names no issuer and client"
    return ""


def _is_provenance(value: object) -> bool:
    """Tell whether it names an issuer and a client; versions before 0.169 write none."""
    if not isinstance(value, dict):
        return value is None
    return all(isinstance(value.get(name), str) for name in ("issuer", "client_id"))


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return value is None
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
