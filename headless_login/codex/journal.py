"""A refresh on disk until it is in auth.json: one at a time, none lost, the last failure kept.

A refresh token works once, and its answer is given once. So a refresh is noted before it is asked
for, and what it brought before anything else is done with it: whatever kills the command then, the
next one finishes the work. The lock is ours alone; Codex's are held for the writing only.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from headless_login.codex.accounts import Accounts
from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.files import Folder, sha256_of, try_lock
from headless_login.codex.home import FAILURE, JOURNAL, CodexHome
from headless_login.codex.locks import WAITING as WAITING_FOR_CODEX
from headless_login.codex.pending.folder import our_folder, our_folder_made
from headless_login.codex.preflight import cannot_write
from headless_login.codex.replace import append, replace
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    LocalTrouble,
    OutcomeUnknown,
    RefreshRefused,
    SignInRefused,
)
from headless_login.oauth.values import Refreshed
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Self

LOCK = "refresh-lock"
PATIENCE = 45.0  # seconds; longer than a refresh may take
_PAUSE = 0.05  # seconds
_FORMAT = 1

OUTCOME_UNKNOWN = "outcome_unknown"
ANSWER_LOST = "answer_lost"  # then it was refused: our own request had used the token up
WAITING = "Waiting for another headless-login to finish its refresh…"
_KILLED = "A refresh was ended before its answer was there, so that the refresh token may be used."
DROPPED = (
    "Note: The tokens of a refresh were dropped, because auth.json was changed meanwhile: it holds "
    "another sign-in, or none."
)
SWITCHED = (
    "Note: Another account was made present during a refresh: the new tokens are kept with the one "
    "whose they are."
)

Say = Callable[[str], object]  # takes one sentence for the person


def token_hash(refresh_token: str | None) -> str:
    """Return what names a refresh token without revealing it: its SHA-256, in hexadecimal."""
    return sha256_of((refresh_token or "").encode(errors="surrogatepass"))


class Failure(NamedTuple):
    """How the last refresh failed; `at` in seconds since the epoch.

    `error` is a word of the contract (`refresh_refused`: for good), `code` the issuer's own, or
    `outcome_unknown`, `answer_lost` or empty. `spent` is the hash of the refresh token that was
    sent.
    """

    spent: str
    error: str
    code: str
    message: str
    hint: str
    at: float

    @classmethod
    def of(cls, trouble: HeadlessLoginError, spent: str, at: float) -> Self:
        """Return what is kept of an error."""
        code = OUTCOME_UNKNOWN if isinstance(trouble, OutcomeUnknown) else ""
        code = trouble.code if isinstance(trouble, RefreshRefused) else code
        return cls(spent, trouble.error, code, trouble.message, trouble.hint, at)

    def trouble(self) -> HeadlessLoginError:
        """Return it as the error that it was."""
        if self.error == "refresh_refused":
            return RefreshRefused(self.code, self.message)
        if self.error == "unexpected_account":
            return SignInRefused(self.error, self.message, self.hint)
        return IssuerTrouble(self.error, self.message, self.hint)


def last_failure(home: CodexHome, refresh_token: str) -> Failure | None:
    """Return how the last refresh with this token failed, or None if none did."""
    with our_folder(home) as (_, folder):
        return _failure(folder, refresh_token) if folder else None


def _failure(folder: Folder, refresh_token: str) -> Failure | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        document = json.loads(folder.read(FAILURE)[0])
        *names, at = Failure._fields
        spent, error, code, message, hint = (str(document[name]) for name in names)
        failure = Failure(spent, error, code, message, hint, float(document[at]))
        known = document["format"] == _FORMAT and failure.spent == token_hash(refresh_token)
        return failure if known else None
    return None


class _Entry(NamedTuple):
    """What the journal says: the token that was sent, when, and what auth.json was to hold then."""

    spent: str
    began: float
    content: bytes | None


class Journal:
    """The notes of one refresh, under our lock; no method raises but LocalTrouble.

    `waited_since`: since when (seconds since the epoch) the lock was waited for, if it was not
    free at once.
    """

    def __init__(self, home: CodexHome, folder: Folder, waited_since: float | None) -> None:
        """`folder` is the opened one of ours, whose lock is held."""
        self._home = home
        self._folder = folder
        self.waited_since = waited_since
        self.path = home.own(JOURNAL)

    @classmethod
    @contextmanager
    def locked(
        cls,
        home: CodexHome,
        *,
        patience: float = PATIENCE,
        on_wait: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[Self]:
        """Hold our lock; `on_wait` is called once if another process of ours has it.

        Raises:
            LocalTrouble: `store_failed`; it was not free within `patience` seconds, or there can
                be none.
        """
        with ExitStack() as held:
            refused: OSError
            try:
                _, folder = held.enter_context(our_folder_made(home))
                journal = cls(home, folder, None)
                journal._lock(held, patience, on_wait, clock, now, sleep)
            except OSError as error:
                refused = error
            else:
                yield journal
                return
        raise cannot_write(home.own(LOCK), refused)

    def _lock(
        self,
        held: ExitStack,
        patience: float,
        on_wait: Callable[[], object],
        clock: Callable[[], float],
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        descriptor = self._folder.open_to_lock(LOCK)
        held.callback(os.close, descriptor)
        deadline = clock() + patience
        while not try_lock(descriptor):
            if self.waited_since is None:
                self.waited_since = now()
                on_wait()
            if clock() >= deadline:
                raise LocalTrouble(
                    "store_failed",
                    f"Another headless-login has been refreshing for {patience:.0f} seconds.",
                    "Try again.",
                )
            sleep(_PAUSE)

    def begin(self, refresh_token: str, now: float) -> None:
        """Note that a refresh token is about to be sent; `now` in seconds since the epoch."""
        note = {"format": _FORMAT, "spent": token_hash(refresh_token), "began": now}
        refused: OSError
        try:
            replace(self._folder, JOURNAL, _line(note))
            return
        except OSError as error:
            refused = error
        raise cannot_write(self.path, refused)

    def keep(self, credentials: Credentials) -> bool:
        """Note what the refresh brought; returns whether it can be read there.

        That is enough where the disk only could not promise it (fsync): a copy elsewhere would be
        no safer, and a second one.
        """
        content = credentials.content.decode()
        digest = sha256_of(credentials.content)
        with suppress(OSError):
            append(self._folder, JOURNAL, _line({"content": content, "digest": digest}))
        with suppress(OSError):
            entry = _read_entry(self._folder.read(JOURNAL)[0], self.path)
            return entry is not None and entry.content == credentials.content
        return False

    def store(self, credentials: Credentials, refresh_token_hash: str, say: Say) -> str:
        """Put it into auth.json, if that still holds the refresh token that was spent.

        If that account is kept by now, its new tokens are kept there: a switch that has waited too
        long for our lock goes on without it. What another program has written meanwhile stays as
        it is. Returns what to say if auth.json does not hold the new tokens, else "".
        """
        note = ""
        with Accounts.locked(self._home, on_wait=lambda: say(WAITING_FOR_CODEX)) as accounts:
            auth_file = accounts.auth_file
            present = _present(auth_file)
            found, new = _spent(present), _spent(credentials.content)
            if found in (refresh_token_hash, None):
                renewed = _renewed(present, credentials)
                auth_file.store(renewed)
                if auth_file.read()[0] != renewed.content:  # a file system that swallows a write
                    raise OSError(None, "it does not hold what was written")
            elif found != new:  # else by the command that was killed then
                note = DROPPED
                for account in accounts.listing.kept:
                    if _spent(account.content) in (refresh_token_hash, new):
                        accounts.renew(account, _renewed(account.content, credentials))
                        note = SWITCHED
        self.end()
        return note

    def fail(self, failure: Failure) -> None:
        """Keep how it failed, for whoever waits for the lock and for `doctor`."""
        with suppress(OSError):
            replace(self._folder, FAILURE, _line({"format": _FORMAT, **failure._asdict()}))
        self.end()

    def failure(self, refresh_token: str) -> Failure | None:
        """Return how the last refresh with this token failed, or None."""
        return _failure(self._folder, refresh_token)

    def end(self) -> None:
        """Remove the notes; nothing depends on them any more."""
        with suppress(OSError):
            self._folder.discard(JOURNAL)

    def finish(self, say: Say) -> None:
        """Do what a command that was killed has left to do.

        Raises:
            LocalTrouble: `store_failed`; auth.json cannot be written, or a later version of ours
                has written the notes. They stay.
        """
        try:
            entry = _read_entry(self._folder.read(JOURNAL)[0], self.path)
        except OSError:
            return
        if entry is None:
            self.end()
        elif entry.content is None:
            lost = OutcomeUnknown("issuer_unreachable", _KILLED)
            self.fail(Failure.of(lost, entry.spent, entry.began))
        elif note := self.store(Credentials(entry.content), entry.spent, say):
            say(note)


def recover(home: CodexHome, say: Say = lambda _: None) -> None:
    """Finish a refresh that was killed, if there is one; one that still runs is left alone.

    Raises:
        LocalTrouble: as `Journal.finish`.
    """
    with our_folder(home) as (_, folder), ExitStack() as held:
        if folder is None or not folder.has(JOURNAL):
            return
        try:
            descriptor = folder.open_to_lock(LOCK)
        except OSError:
            return  # the refresh itself will say what is in the way
        held.callback(os.close, descriptor)
        if try_lock(descriptor):  # else whoever has it, is alive
            Journal(home, folder, None).finish(say)


@contextmanager
def no_refresh(home: CodexHome, say: Say = lambda _: None) -> Iterator[None]:
    """Let no refresh of ours begin, after the last one is finished, while auth.json is replaced.

    Whatever is in the way of that is told, and keeps nobody from signing in or out.
    """
    with ExitStack() as held:
        with our_folder(home) as (_, folder):
            refreshes = folder is not None and folder.has(LOCK)
        if refreshes:
            try:
                journal = held.enter_context(Journal.locked(home, on_wait=lambda: say(WAITING)))
                journal.finish(say)
            except LocalTrouble as trouble:
                say(f"Note: {trouble.message}")
        yield


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _read_entry(content: bytes, path: str) -> _Entry | None:
    """Return what the notes say; None if they are damaged."""
    first, _, second = content.partition(b"\n")
    try:
        note = json.loads(first)
        if isinstance(note, dict) and note.get("format") == _FORMAT:
            return _Entry(str(note["spent"]), float(note["began"]), _kept(second))
        found = note.get("format")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    raise LocalTrouble(
        "store_failed",
        f"{path} has the format {found!r:.20}, which this version does not know.",
        "Run the version that has written it, or move it away.",
    )


def _kept(line: bytes) -> bytes | None:
    """Return what auth.json was to hold; None if a kill left nothing, or a part of it."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        kept = json.loads(line)
        content = kept["content"].encode()
        if sha256_of(content) == kept["digest"]:
            return bytes(content)
    return None


def _present(auth_file: AuthFile) -> bytes:
    """Return what auth.json holds; an object that holds nothing where there is none."""
    try:
        return auth_file.read()[0]
    except FileNotFoundError:
        return b"{}"


def _spent(content: bytes) -> str | None:
    """Return the hash of the refresh token in an auth.json; None if that is torn."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    tokens = document.get("tokens") if isinstance(document, dict) else None
    token = tokens.get("refresh_token") if isinstance(tokens, dict) else None
    return token_hash(token) if isinstance(token, str) else ""


def _renewed(present: bytes, credentials: Credentials) -> Credentials:
    """Return the present file with the new tokens: what else stands there now is Codex's."""
    if _spent(present) is None:
        return credentials  # torn: nothing can be kept of it
    new = json.loads(credentials.content)
    renewed = Refreshed(*(new["tokens"].get(name) for name in Refreshed._fields))
    return Credentials.refreshed(present, renewed, new["last_refresh"])
