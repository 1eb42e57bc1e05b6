"""The life of the tokens: a refresh token is spent once, and what comes for it is stored.

Others may hold the same token: processes of ours and of Codex. Those of ours ask one at a time,
and whoever waited takes what came. Codex's locks are never held while the server is asked
(codex-facts.md §14), so it may be quicker; then its tokens are the good ones.

Nothing heavy is imported at the top: most tokens are valid long enough.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from headless_login.codex.files import read_owned
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import (
    ANSWER_LOST,
    OUTCOME_UNKNOWN,
    WAITING,
    Failure,
    Journal,
    token_hash,
)
from headless_login.codex.locks import WAITING as WAITING_FOR_CODEX
from headless_login.codex.preflight import check_writable
from headless_login.codex.replace import signals_held
from headless_login.codex.stored import Misshapen, StoredSignIn, interpret, read_stored
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    LocalTrouble,
    NotSignedIn,
    OutcomeUnknown,
    RefreshRefused,
    SignInRefused,
    WrongUsage,
)
from headless_login.oauth.identity import claims_of, identity_of
from headless_login.oauth.provider import CODEX, Provider
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.codex.auth_file import Credentials
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.values import Refreshed

FORCED, EXPIRING = "forced", "proactive_expiry"  # Codex's words for why (codex-facts.md §14)

_WAIT_FOR_CODEX = 3.0  # seconds; it has spent the token and is about to write
_PAUSE = 0.1  # seconds
_REFUSED_FOR = 60.0  # seconds in which a refusal is not asked for again, unless by --refresh

Say = Callable[[str], object]  # takes one sentence for the person
ClientOf = Callable[[StoredSignIn], "IssuerClient"]


class NotStored(LocalTrouble):
    """New tokens are there, and auth.json could not take them."""


def is_newer(after: StoredSignIn, before: StoredSignIn) -> bool:
    """Return whether these are other tokens of the same person's same account, and no older."""
    if after[:1] != before[:1] or _person(after) != _person(before):
        return False
    ends = (after.access_token_expires_at, before.access_token_expires_at)
    return _tokens(after) != _tokens(before) and (None in ends or ends[0] >= ends[1])  # type: ignore[operator]


def _person(stored: StoredSignIn) -> tuple[str | None, ...]:
    """Return who it is; elsewhere than at OpenAI an e-mail address is all there may be."""
    who = stored.identity
    known = who.account_id or who.user_id
    return who.account_id, who.user_id, None if known else who.email


def _tokens(stored: StoredSignIn) -> tuple[str | None, str | None]:
    return stored.access_token, stored.refresh_token


def provider_of(stored: StoredSignIn) -> Provider:
    """Return the issuer and client that a sign-in names; without any, they are Codex's.

    Raises:
        LocalTrouble: `store_failed`; it is none to which a token may be sent.
    """
    try:
        return Provider(
            CODEX.issuer if stored.issuer is None else stored.issuer,
            CODEX.client_id if stored.client_id is None else stored.client_id,
        )
    except WrongUsage:
        pass  # raised below
    raise LocalTrouble(
        "store_failed", "auth.json names no issuer that can be trusted.", "Sign in again."
    )


def issuer_of(stored: StoredSignIn, environ: Mapping[str, str] = os.environ) -> IssuerClient:
    """Return a client of the issuer that a sign-in names; another than Codex's is discovered.

    Raises:
        LocalTrouble: as `provider_of`.
        IssuerTrouble: it cannot be reached, or publishes nothing usable.
    """
    from headless_login.issuer.client import IssuerClient

    provider = provider_of(stored)
    if provider.client_id == CODEX.client_id:
        return IssuerClient(provider, environ=environ)
    return IssuerClient.discovered(
        provider.issuer, provider.client_id, provider.scope, environ=environ
    )


def refresh(
    home: CodexHome,
    seen: StoredSignIn,
    reason: str,
    client_of: ClientOf,
    *,
    say: Say = lambda _: None,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[StoredSignIn, bool]:
    """Return a sign-in that is not `seen` any more, and whether it was refreshed by this call.

    Else it is what another program has written, which may be somebody else's.

    Raises:
        SignInRefused: `refresh_refused` or `unexpected_account`; auth.json is as it was.
        IssuerTrouble: no usable answer; auth.json is as it was.
        NotStored: new tokens are there; the hint says where.
        LocalTrouble: `store_failed`; nobody was asked, because auth.json could not be written.
    """
    with Journal.locked(home, on_wait=lambda: say(WAITING), now=now, sleep=sleep) as journal:
        journal.finish(say)
        content, present = _read(home, say)
        if _tokens(present) != _tokens(seen) or present.mode != seen.mode:
            return present, False
        failure = journal.failure(present.refresh_token or "")
        if failure and _is_still_so(failure, journal.waited_since, reason, now()):
            raise failure.trouble()
        check_writable(home)
        asking = _Refresh(home, journal, content, present, failure)
        # Ctrl-C waits: an answer that nobody takes would be a refresh token lost.
        with signals_held():
            return asking.run(reason, client_of, say, now, sleep)


def _is_still_so(failure: Failure, waited_since: float | None, reason: str, now: float) -> bool:
    """Return whether asking again is idle: it has just failed for another process, or for good.

    Codex may run a provider's command a dozen times in a row.
    """
    if waited_since is not None and failure.at >= waited_since:
        return True
    is_refusal = failure.error == "refresh_refused" and reason != FORCED
    return is_refusal and 0 <= now - failure.at < _REFUSED_FOR


def _read(home: CodexHome, say: Say) -> tuple[bytes, StoredSignIn]:
    """Read auth.json under Codex's locks: what is about to be written there, is there then."""
    from headless_login.codex.auth_file import AuthFile

    why = ""
    with AuthFile.locked(home, on_wait=lambda: say(WAITING_FOR_CODEX)) as auth_file:
        try:
            content, _ = auth_file.read()
            return content, interpret(content)
        except FileNotFoundError:
            pass
        except Misshapen as misshapen:
            why = str(misshapen)
    if why:
        raise LocalTrouble("store_failed", f"{home.auth_file} {why}.", "Sign in again.")
    raise NotSignedIn(f"There is no sign-in in {home.auth_file} any more.")


class _Refresh(NamedTuple):
    """One refresh token that is about to be spent; `earlier` is how that failed before."""

    home: CodexHome
    journal: Journal
    content: bytes
    present: StoredSignIn
    earlier: Failure | None

    @property
    def _token(self) -> str:
        return self.present.refresh_token or ""

    def run(
        self,
        reason: str,
        client_of: ClientOf,
        say: Say,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> tuple[StoredSignIn, bool]:
        """Ask, and store what comes."""
        trouble: HeadlessLoginError
        self._check_content()
        try:
            client = client_of(self.present)
            self.journal.begin(self._token, now())
            answer = client.refresh(self._token, reason)
            self._check_person(answer)
            return self._store(answer, say, now())
        except RefreshRefused as refused:
            newer = self._written_meanwhile(refused, sleep)
            if newer:
                self.journal.end()
                return newer, False
            trouble = self._explained(refused)
        except (IssuerTrouble, SignInRefused) as error:
            trouble = error
            if isinstance(error, IssuerTrouble) and not isinstance(error, OutcomeUnknown):
                trouble.pending = "Then run it again: the sign-in is as it was."
        self.journal.fail(Failure.of(trouble, token_hash(self._token), now()))
        raise trouble

    def _check_content(self) -> None:
        """Refuse a file into which the answer could not be put, before it is asked for."""
        from headless_login.codex.auth_file import Credentials
        from headless_login.oauth.values import Refreshed

        try:
            Credentials.refreshed(self.content, Refreshed(None, None, None), "")
        except (ValueError, RecursionError):
            pass  # raised below: the cause would carry the content along
        else:
            return
        raise LocalTrouble(
            "store_failed",
            f"{self.home.auth_file} holds what cannot be written again.",
            "Sign in again to replace it.",
        )

    def _written_meanwhile(
        self, refused: RefreshRefused, sleep: Callable[[float], None]
    ) -> StoredSignIn | None:
        """Return newer tokens, if another program has spent this one and written what it got."""
        known = self.earlier is not None and self.earlier.code in (refused.code, ANSWER_LOST)
        is_news = refused.code == "refresh_token_reused" and not known
        for _ in range(int(_WAIT_FOR_CODEX / _PAUSE) if is_news else 1):
            stored = read_stored(self.home, read=read_owned)
            if stored and is_newer(stored, self.present):
                return stored
            if is_news:
                sleep(_PAUSE)
        return None

    def _explained(self, refused: RefreshRefused) -> RefreshRefused:
        """Say who has probably used the token, if it was an earlier call of ours."""
        if self.earlier is None or self.earlier.code not in (OUTCOME_UNKNOWN, ANSWER_LOST):
            return refused
        told = f"{refused.message} The answer to an earlier refresh of ours was lost."
        return RefreshRefused(ANSWER_LOST, told)

    def _check_person(self, answer: Refreshed) -> None:
        """Refuse tokens that name somebody else than the old ones did.

        The signature is not checked: they came by TLS from the issuer itself (OpenID Connect Core
        §3.1.3.7 (6), §12.2), nobody is signed in by them who was not before, and a set of keys
        that cannot be fetched must not cost a refresh token.
        """
        from json import loads

        before = loads(self.content)["tokens"]
        for name in ("id_token", "access_token"):
            old = claims_of(before.get(name) or "") or {}
            new = claims_of(getattr(answer, name) or "") or {}
            was, is_now = identity_of(old), identity_of(new)
            named = [
                (old.get("sub"), new.get("sub")),
                (was.account_id, is_now.account_id),
                (was.user_id, is_now.user_id),
            ]
            if any(None not in pair and pair[0] != pair[1] for pair in named):
                raise SignInRefused(
                    "unexpected_account",
                    "The issuer answered with the tokens of another account; nothing was written.",
                )

    def _store(self, answer: Refreshed, say: Say, now: float) -> tuple[StoredSignIn, bool]:
        from headless_login.codex.auth_file import set_aside

        credentials, after = self._renewed(answer, now)
        kept = self.journal.keep(credentials)
        failed: LocalTrouble
        try:
            note = self.journal.store(credentials, token_hash(self._token), say)
        except LocalTrouble as trouble:
            failed = trouble
        else:
            if not note:
                return self._with_access(after, answer, now), True
            say(note)
            return _read(self.home, say)[1], False
        where = self.journal.path if kept else set_aside(credentials)
        hint = "The new tokens could not be saved anywhere else: sign in again."
        if kept:
            hint = f"Fix that: the new tokens are safe in {where}, for the next command to store."
        elif where:
            hint = f"Fix that, then move {where} to {self.home.auth_file}: it has the new tokens."
        raise NotStored("store_failed", failed.message, hint)

    def _renewed(self, answer: Refreshed, now: float) -> tuple[Credentials, StoredSignIn]:
        """Return the new auth.json, and how it reads."""
        from headless_login.codex.auth_file import Credentials, time_of_refresh

        last_refresh = time_of_refresh(now)
        credentials = Credentials.refreshed(self.content, answer, last_refresh)
        try:
            return credentials, interpret(credentials.content)
        except Misshapen:
            pass  # an ID token that Codex could not read would make the file unreadable for it
        answer = answer._replace(id_token=None)
        credentials = Credentials.refreshed(self.content, answer, last_refresh)
        return credentials, interpret(credentials.content)

    def _with_access(self, after: StoredSignIn, answer: Refreshed, now: float) -> StoredSignIn:
        if answer.access_token is None and after.seconds_left(now) <= 0:
            raise IssuerTrouble(
                "token_response_invalid",
                "The issuer's answer to the refresh holds no access token.",
                "Try again later.",
            )
        return after
