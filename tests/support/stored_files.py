"""auth.json as Codex and other programs leave it, good and odd, without a sign-in."""

from __future__ import annotations

import json
import os
import stat
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.oauth.identity import Identity
from headless_login.oauth.provider import CODEX
from headless_login.oauth.values import Tokens

NOW = 1_795_412_972.344965  # 2026-11-23T05:49:32.344965Z
KEY = "sk-proj-MARKED0123456789abcdefghij"
ACCESS_EXPIRES = int(NOW) + 864_000

AUTH = "https://api.openai.com/auth"
PROFILE = "https://api.openai.com/profile"
ID_CLAIMS: dict[str, Any] = {
    "email": "ada@example.com",
    "exp": int(NOW) - 60,  # an ID token lives an hour: that it has expired means nothing
    AUTH: {"chatgpt_account_id": "acc-1", "chatgpt_plan_type": "plus"},
}
ACCESS_CLAIMS: dict[str, Any] = {"iat": int(NOW) - 60, "exp": ACCESS_EXPIRES}
REFRESH_TOKEN = "rt_MARKED-refresh-token"
OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
NEW = Credentials.api_key(KEY)
LOCKS = {"auth.lock", "auth.json.lock"}


def part(value: object) -> str:
    """Return JSON as one part of a JWT; NaN and Infinity go through."""
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(claims: object) -> str:
    """Return claims as a JWT whose signature nobody here looks at."""
    return f"{part({'alg': 'RS256'})}.{part(claims)}.MARKED-signature"


def tokens(**changes: object) -> dict[str, object]:
    """Return the `tokens` that Codex 0.98 writes; a change to `...` leaves a member out."""
    members = {"id_token": jwt(ID_CLAIMS), "access_token": jwt(ACCESS_CLAIMS)}
    return _changed(members, {"refresh_token": REFRESH_TOKEN, "account_id": "acc-1"} | changes)


def document(**changes: object) -> dict[str, object]:
    """Return a ChatGPT sign-in; a change to `...` leaves a member out."""
    members = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens()}
    return _changed(members, {"last_refresh": "2026-11-23T05:49:32.344965460Z"} | changes)


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, object]:
    return {name: value for name, value in (members | changes).items() if value is not ...}


def with_tokens(**changes: object) -> dict[str, object]:
    """Return a ChatGPT sign-in with changed tokens."""
    return document(tokens=tokens(**changes))


def made_by(issuer: str, client_id: str = CODEX.client_id, **changes: object) -> dict[str, object]:
    """Return a ChatGPT sign-in that says where it comes from."""
    provenance = {"issuer": issuer, "client_id": client_id}
    return with_tokens(oauth_provenance=provenance, **changes)


def chatgpt() -> Credentials:
    """Return a ChatGPT sign-in as this project makes it."""
    made = Tokens(jwt(ID_CLAIMS), jwt(ACCESS_CLAIMS), REFRESH_TOKEN)
    return Credentials.chatgpt(made, Identity("ada@example.com", "acc-1", "plus"), CODEX, NOW)


def store(
    home: CodexHome, credentials: Credentials, *, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Store credentials in a Codex home; returns whether they had to be written in place."""
    with AuthFile.locked(home, on_wait=on_wait) as auth_file:
        return auth_file.store(credentials)


def remove(home: CodexHome) -> bool:
    """Remove the credentials of a Codex home; returns whether there were any."""
    with AuthFile.locked(home) as auth_file:
        return auth_file.remove()


def write(home: CodexHome, content: object, mode: int = 0o600) -> Path:
    """Put bytes, or any value as JSON, where a sign-in is stored; returns the path."""
    path = Path(home.auth_file)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)
    return path


def read(home: CodexHome, content: object) -> StoredSignIn:
    """Return how a file of that content is understood; never waits for a better one."""
    write(home, content)
    stored = read_stored(home, sleep=lambda _: None)
    assert stored
    return stored


def _make_device(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no device files here")
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        path.symlink_to("/dev/zero")


def _make_device_link(path: Path) -> None:
    _make_device(path.with_name("device"))
    path.symlink_to("device")


# What can be in the place of a file.
NO_FILES: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a pipe": lambda path: os.mkfifo(path),
    "a device": _make_device,
    "a link to a device": _make_device_link,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link into no folder": lambda path: path.symlink_to("missing/file"),
}
