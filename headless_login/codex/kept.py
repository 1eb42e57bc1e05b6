"""A kept sign-in: whose it is, and the file of ours in `.headless-login/accounts` that holds it."""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import ExitStack, suppress

from headless_login.codex.files import Folder, sha256_of
from headless_login.codex.home import FOLDER, CodexHome
from headless_login.codex.pending.folder import enter_own, make_own, not_ours
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import try_replacing
from headless_login.codex.stored import Misshapen, StoredSignIn, interpret
from headless_login.typed import NamedTuple

ACCOUNTS = "accounts"
SUFFIX = ".json"
_FORMAT = 1
_ROOM = b"\0" * 16384  # as much as a probe of auth.json takes
# What a folder says that takes no files at all, as a container's read-only one.
TAKES_NONE = (errno.EROFS, errno.EACCES, errno.EPERM)


class Account(NamedTuple):
    """A sign-in: the content of its auth.json, and what that says.

    A kept one has a `file`; of several, the one with the greatest `last_present` (seconds since
    the epoch) was present last.
    """

    content: bytes
    stored: StoredSignIn
    file: str = ""
    last_present: float = 0.0

    @property
    def key(self) -> str:
        """Whose it is, as a hash: two sign-ins with one key are the same account's.

        That is (account id, user id) where both are known, with the e-mail address where one is
        missing; of keys the key itself. Where nothing names anybody, it is the refresh token, which
        Codex does not renew without an account id (codex-facts.md section 13).
        """
        stored, who = self.stored, self.stored.identity
        named: tuple[str | None, ...] = (who.account_id, who.user_id)
        if stored.mode in ("apikey", "personalAccessToken"):
            named = (stored.api_key,)
        elif not all(named):
            named = (*named, who.email)
        if not any(named):
            named = (stored.refresh_token or self.content.decode(),)
        return sha256_of(json.dumps([stored.mode, *named]).encode())[:32]

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Account({self.stored!r}, {self.file!r})"


def account_of(content: bytes) -> Account:
    """Return the sign-in that the content of an auth.json holds; raises Misshapen."""
    return Account(content, interpret(content))


def can_keep(home: CodexHome) -> bool:
    """Return whether the folder takes what a sign-in would put away; nothing is changed.

    Raises:
        LocalTrouble: `store_failed`; it would, but not now.
    """
    path, refused = home.path, None
    try:
        with ExitStack() as held:
            folder = held.enter_context(Folder.opened(path))
            for name in (FOLDER, ACCOUNTS):
                if not folder.has(name):
                    break
                path = os.path.join(path, name)
                found = None
                with suppress(OSError):
                    found = enter_own(folder, name, held)
                if found is None:
                    raise not_ours(path)
                folder = found
            try_replacing(folder, _ROOM)
            return True
    except OSError as error:
        if error.errno in TAKES_NONE:
            return False
        refused = error
    raise cannot_write(path, refused)


def enter(home: CodexHome, held: ExitStack, *, make: bool = False) -> Folder:
    """Open the folder of the kept sign-ins, or `make` it; raises OSError if there is none."""
    folder = held.enter_context(Folder.opened(home.path))
    for name in (FOLDER, ACCOUNTS):
        found = make_own(folder, name, held) if make else enter_own(folder, name, held)
        if found is None:
            raise FileNotFoundError(name)
        folder = found
    return folder


def record(content: bytes, last_present: float) -> bytes:
    """Return the content of such a file; auth.json stands in it as it is, as a text."""
    document = {"format": _FORMAT, "last_present": last_present, "auth_json": content.decode()}
    return json.dumps(document, indent=2).encode()


def read_kept(folder: Folder, name: str) -> Account:
    """Return what such a file holds.

    Raises:
        ValueError: nothing that can be used; says why, as what comes after the file's name.
        OSError: it cannot be read.
    """
    content, status = folder.read(name)
    owners = (folder.status().st_uid, *([os.geteuid()] if hasattr(os, "geteuid") else []))
    if status.st_uid not in owners or (os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o022):
        raise ValueError("could be written by another user")
    document: object = None
    with suppress(ValueError, RecursionError):
        document = json.loads(content)
    found = document if isinstance(document, dict) else {}
    known, text, last = found.get("format"), found.get("auth_json"), found.get("last_present")
    if isinstance(known, int) and known != _FORMAT:
        raise ValueError(f"has the format {known}, which this version does not know")
    if isinstance(text, str) and isinstance(last, int | float) and abs(last) < 1e12:
        with suppress(Misshapen, UnicodeEncodeError):
            account = account_of(text.encode())._replace(file=name, last_present=float(last))
            if account.stored.mode is not None:
                return account
    raise ValueError("is damaged")


def free_name(folder: Folder, key: str) -> str:
    """Return a name that no file has: one that cannot be used is not overwritten."""
    name, number = f"{key}{SUFFIX}", 1
    while folder.has(name):
        name, number = f"{key}-{number}{SUFFIX}", number + 1
    return name
