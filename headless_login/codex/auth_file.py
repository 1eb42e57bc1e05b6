"""auth.json as Codex 0.169.0 writes it (codex-facts.md §5): stored, set aside and removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from headless_login.codex.files import Folder
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import codex_locks
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import remove, replace, sweep
from headless_login.codex.shape import Misshapen, read_shape
from headless_login.errors import SignInRefused
from headless_login.oauth.identity import Identity
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import base64url
from headless_login.oauth.values import Refreshed, Tokens
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

# What is left of a mounted file. Codex 0.169.0 answers exit code 1 to it, as without a file; an
# empty object it reports as signed in.
_SIGNED_OUT = b'{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": null\n}'

_ASIDE = "headless-login-"  # how such a folder's name begins
_PLACES = ("", "~", "/dev/shm")  # noqa: S108  # nosec B108


class Credentials(NamedTuple):
    """What one sign-in leaves behind, always the whole file.

    `comes_once`: the person does not have it, and cannot give it a second time.
    """

    content: bytes
    comes_once: bool = True

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Credentials(comes_once={self.comes_once!r})"

    @classmethod
    def chatgpt(
        cls, tokens: Tokens, identity: Identity, provider: Provider, now: float
    ) -> Credentials:
        """Return a ChatGPT sign-in made at `now` (seconds since the epoch).

        Raises:
            SignInRefused: `id_token_invalid`; Codex could not read the file with that ID token.
        """
        # The file names the issuer and client to which Codex will send its refresh requests.
        provenance = {"issuer": provider.issuer, "client_id": provider.client_id}
        made = cls._of(
            {
                "auth_mode": "chatgpt",
                "OPENAI_API_KEY": None,
                "tokens": {
                    "id_token": tokens.id_token,
                    "access_token": tokens.access_token,
                    "refresh_token": tokens.refresh_token,
                    "oauth_provenance": provenance,
                    "login_owner_id": base64url(os.urandom(32)),
                    "account_id": identity.account_id,
                },
                "last_refresh": time_of_refresh(now),
            }
        )
        try:
            read_shape(made.content)
            return made
        except Misshapen:
            pass  # raised below
        raise SignInRefused(
            "id_token_invalid",
            "The issuer's ID token is one that Codex could not read, and then neither the whole "
            "auth.json. Nothing was written.",
        )

    @classmethod
    def refreshed(cls, before: bytes, answer: Refreshed, last_refresh: str) -> Credentials:
        """Return an auth.json with new tokens; all else stays, and what the answer leaves out."""
        document = json.loads(before)
        given = {name: value for name, value in answer._asdict().items() if value is not None}
        document["tokens"].update(given)
        return cls._of(document | {"last_refresh": last_refresh})

    @classmethod
    def access_only(cls, content: bytes) -> Credentials:
        """Return a copy that renews nothing (codex-facts.md §15); a key beside it stays here."""
        document = json.loads(content)
        document["tokens"]["refresh_token"] = ""  # nosec B105
        return cls._of(document | {"OPENAI_API_KEY": None}, comes_once=False)

    @classmethod
    def api_key(cls, key: str) -> Credentials:
        """Return a sign-in with an API key."""
        return cls._of({"auth_mode": "apikey", "OPENAI_API_KEY": key}, comes_once=False)

    @classmethod
    def personal_access_token(cls, token: str) -> Credentials:
        """Return a sign-in with a personal access token (codex-facts.md §11)."""
        document = {"OPENAI_API_KEY": None, "personal_access_token": token}
        return cls._of(document, comes_once=False)

    @classmethod
    def agent_identity(cls, token: str) -> Credentials:
        """Return a sign-in with an agent identity, a JWT (codex-facts.md §11)."""
        document = {"auth_mode": "agentIdentity", "OPENAI_API_KEY": None, "agent_identity": token}
        return cls._of(document, comes_once=False)

    @classmethod
    def _of(cls, document: Mapping[str, object], *, comes_once: bool = True) -> Credentials:
        return cls(json.dumps(document, indent=2).encode(), comes_once)


def time_of_refresh(now: float) -> str:
    """Return a time (seconds since the epoch) as `last_refresh` has it (RFC 3339)."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class AuthFile:
    """auth.json in its opened folder, under Codex's locks: what is read stays true until it ends.

    Every method raises OSError, which `locked` turns into a `store_failed`.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        """`name` is the file's own, without what links lead to it."""
        self._folder = folder
        self._name = name

    @classmethod
    @contextmanager
    def locked(
        cls, home: CodexHome, *, on_wait: Callable[[], object] = lambda: None
    ) -> Iterator[Self]:
        """Hold Codex's locks for as long as the context lasts; never while a server is asked.

        Raises:
            LocalTrouble: `store_failed`; it cannot be locked, or what was tried with it failed.
        """
        reason: OSError
        try:
            with codex_locks(home, on_wait=on_wait) as (folder, name):
                yield cls(folder, name)
                return
        except OSError as error:
            reason = error
        raise cannot_write(home.auth_file, reason)

    def read(self) -> tuple[bytes, os.stat_result]:
        """Return its content and its status."""
        return self._folder.read(self._name)

    def sweep(self) -> None:
        """Remove what a write that was killed has left beside it, secrets and all."""
        sweep(self._folder)

    def store(self, credentials: Credentials) -> bool:
        """Replace it; returns whether it had to be written in place, as a mounted file."""
        sweep(self._folder)
        return replace(self._folder, self._name, credentials.content)

    def remove(self) -> bool:
        """Remove it, or empty a mounted file of every credential; returns whether there was one."""
        sweep(self._folder)
        try:
            remove(self._folder, self._name, or_write=_SIGNED_OUT)
        except FileNotFoundError:
            return False
        return True


def set_aside(credentials: Credentials, *, places: Sequence[str] = _PLACES) -> str | None:
    """Save fresh credentials in a new 0600 file outside the Codex folder and return its path.

    A code works once: where auth.json cannot be written after the exchange, the tokens must not
    be lost with it. The first of `places` ("": for temporary files) that takes them has them;
    returns None if none does.
    """
    for parent in places:
        with suppress(OSError):
            return _save_in_new_folder(os.path.expanduser(parent), credentials.content)
    return None


def discard_aside(home: CodexHome) -> None:
    """Remove a folder that `set_aside` has made, once nothing but lock files is left in it."""
    folder = home.path
    if os.path.basename(folder).startswith(_ASIDE):
        with suppress(OSError):
            if set(os.listdir(folder)) <= {"auth.lock", "auth.json.lock"}:
                for name in os.listdir(folder):
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)


def _write_once(path: str, content: bytes) -> None:
    """Write a new file, without the steps that may just have failed for auth.json."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        with suppress(OSError):
            os.fsync(descriptor)


def _save_in_new_folder(parent: str, content: bytes) -> str:
    from tempfile import mkdtemp

    folder = mkdtemp(prefix=_ASIDE, dir=parent or None)  # 0700
    try:
        path = os.path.join(os.path.abspath(folder), "auth.json")
        _write_once(path, content)
    except OSError:
        with suppress(OSError):
            os.unlink(path)
        with suppress(OSError):
            os.rmdir(folder)
        raise
    return path
