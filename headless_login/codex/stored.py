"""Reading auth.json: offline, tolerant of every version of Codex, and never guessing."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headless_login.codex.files import read_regular
from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble
from headless_login.oauth.identity import Identity, claims_of, identity_of, numeric_date


class Misshapen(ValueError):
    """Codex could not use this file; says why, as what comes after the file's name."""


class Torn(Misshapen):
    """It is not even JSON, but may be in a moment, when it is written whole."""


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
    """Return whether it names an issuer and a client; versions before 0.169 write none."""
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


_NO_IDENTITY = Identity(None, None, None)
_READINGS = 4
_PAUSE = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class StoredSignIn:
    """What an auth.json says; `mode` is None if it holds no sign-in.

    Files of Codex before 0.169 are silent about issuer and client (None).
    """

    mode: str | None
    identity: Identity = _NO_IDENTITY
    access_token_expires_at: float | None = None
    issued_at: float | None = None
    api_key: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    issuer: str | None = None
    client_id: str | None = None
    private: bool = True

    def usable(self, now: float) -> bool:
        """Return whether Codex could work with it at `now`, as far as one can tell offline."""
        expired = self.access_token_expires_at is not None and self.access_token_expires_at <= now
        return self.mode is not None and (not expired or self.refresh_token is not None)


def read_stored(
    home: CodexHome,
    *,
    read: Callable[[str], tuple[bytes, os.stat_result]] = read_regular,
    sleep: Callable[[float], None] = time.sleep,
) -> StoredSignIn | None:
    """Return what auth.json says, or None where there is none; `read` as `read_regular`.

    Raises:
        LocalTrouble: `store_failed`; it is there and cannot be read or understood, which is not
            the same as not being signed in.
    """
    problem = ""
    for reading in range(_READINGS):
        if reading:
            sleep(_PAUSE)
        try:
            content, status = read(home.auth_file)
            return _interpret(read_shape(content), status)
        except FileNotFoundError:
            return None
        except Torn as torn:
            problem = str(torn)
        except Misshapen as misshapen:
            problem = str(misshapen)
            break
        except OSError as error:
            problem = f"cannot be read: {error.strerror or type(error).__name__}"
            break
    raise LocalTrouble(
        "store_failed",
        f"{home.auth_file} {problem}.",
        "Nothing was changed. Sign in again to replace it, or move it away.",
    )


def _interpret(document: Mapping[str, object], status: os.stat_result) -> StoredSignIn:
    private = os.name != "posix" or not stat.S_IMODE(status.st_mode) & 0o077
    key, tokens = _text(document, "OPENAI_API_KEY"), _object(document, "tokens")
    mode = _mode(document, key, tokens)
    if mode == "apikey":  # what stands beside the key is not used
        return StoredSignIn(mode, api_key=key, private=private)
    access_claims = claims_of(_text(tokens, "access_token") or "") or {}
    made_by = _object(tokens, "oauth_provenance")
    return StoredSignIn(
        mode,
        _identity(tokens, access_claims),
        numeric_date(access_claims, "exp"),
        numeric_date(access_claims, "iat"),
        key,
        _text(tokens, "refresh_token"),
        _given(made_by, "issuer"),
        _given(made_by, "client_id"),
        private,
    )


def _identity(tokens: Mapping[str, object], access_claims: Mapping[str, object]) -> Identity:
    """Return who is named: by the file as Codex sends it, the ID token, the access token."""
    first = identity_of(claims_of(_text(tokens, "id_token") or "") or {})
    second = identity_of(access_claims)
    return Identity(
        first.email or second.email,
        _text(tokens, "account_id") or first.account_id or second.account_id,
        first.plan or second.plan,
    )


def _mode(
    document: Mapping[str, object], key: str | None, tokens: Mapping[str, object]
) -> str | None:
    """Resolve the mode as Codex does: the key wins where `auth_mode` is missing."""
    mode = _text(document, "auth_mode") or ("apikey" if key else "chatgpt")
    if mode == "chatgpt":
        held = _text(tokens, "access_token") or _text(tokens, "refresh_token")
        return mode if held else None
    if mode == "apikey":
        return mode if key else None
    return mode


def _given(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None


def _object(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _text(document: Mapping[str, object], name: str) -> str | None:
    return _given(document, name) or None
