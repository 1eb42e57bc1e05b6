"""`token`: a valid access token on standard output, and nothing else there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from headless_login.codex.files import read_owned
from headless_login.codex.home import JOURNAL, CodexHome
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.commands.context import Context
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    LocalTrouble,
    NotSignedIn,
    WrongUsage,
)
from headless_login.oauth.text import is_one_word, printable
from headless_login.terminal.output import utc
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.refresh import ClientOf, Say

MIN_VALID = 900.0  # seconds; Codex itself acts at 300, and can be in the way then
_LONGEST = 30 * 86400.0  # seconds
_ROUNDS = 12  # that auth.json may change under our hands, as by a crowd that switches accounts
_ON_A_TERMINAL = (
    "This is a secret. For a command: curl -H "
    '"Authorization: Bearer $(headless-login token)" ADDRESS'
)


class ValidToken(NamedTuple):
    """An access token; `expires_at` in seconds since the epoch, None where it cannot be read.

    `trouble` says why it is not as fresh as it was asked for.
    """

    access_token: str
    expires_at: float | None
    trouble: str = ""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ValidToken(expires_at={self.expires_at!r})"


def print_token(
    home: CodexHome, context: Context, *, min_valid: float, force: bool, api_key: bool
) -> None:
    """Print a token that is valid for `min_valid` seconds more, refreshed first if need be.

    Raises:
        WrongUsage: `min_valid` is no such time; or as `valid_token`, which raises all else, too.
    """
    if not 0 <= min_valid <= _LONGEST:
        raise WrongUsage("--min-valid takes seconds, 0 to 2592000 (30 days).")
    found = valid_token(
        home,
        min_valid=min_valid,
        force=force,
        api_key=api_key,
        environ=context.environ,
        say=context.say,
        now=context.time_of_day,
        sleep=context.sleep,
    )
    expires_at = None if found.expires_at is None else utc(found.expires_at)
    if found.trouble:
        until = f"it is valid until {expires_at}" if expires_at else "it may still be valid"
        context.say(f"Note: The token was not refreshed; {until}. {found.trouble}")
    if context.output.events.wanted:
        context.output.events.emit("token", access_token=found.access_token, expires_at=expires_at)
        return
    if context.output.answer.is_terminal:
        context.say(_ON_A_TERMINAL)
    context.output.answer.write(f"{found.access_token}\n")


def valid_token(
    home: CodexHome,
    *,
    min_valid: float = MIN_VALID,
    force: bool = False,
    api_key: bool = False,
    environ: Mapping[str, str] = os.environ,
    say: Say = lambda _: None,
    client_of: ClientOf | None = None,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> ValidToken:
    """Return an access token that is valid for `min_valid` seconds more, as far as possible.

    It is refreshed if it ends before, or with `force`. A personal access token is as good as one;
    an API key only if that is wanted (`api_key`). `environ` names proxies and certificates; the
    issuer is the one that auth.json names.

    Raises:
        WrongUsage: the sign-in is an API key, which was not asked for.
        NotSignedIn: there is no sign-in with an access token, or it has ended for good.
        SignInRefused: `refresh_refused` or `unexpected_account`; auth.json is as it was.
        IssuerTrouble: the token has ended, and the issuer gave no usable answer.
        LocalTrouble: `store_failed`; auth.json cannot be read, or not be written.
    """
    began, stored = now(), _signed_in(_recovered(home, say), home, api_key)
    for _ in range(_ROUNDS):
        if not _renewable(stored):
            return _as_it_is(stored, min_valid, force, now())
        is_fresh = not force or began <= stored.refreshed_at <= now()  # by another program
        if is_fresh and stored.seconds_left(now()) >= max(min_valid, 1.0):
            return _valid(stored)  # as a rule; what refreshes is not loaded before
        from headless_login.refresh import EXPIRING, FORCED, is_newer, issuer_of, refresh

        why, ask = FORCED if force else EXPIRING, client_of or (lambda it: issuer_of(it, environ))
        try:
            after, is_ours = refresh(home, stored, why, ask, say=say, now=now, sleep=sleep)
        except (IssuerTrouble, LocalTrouble) as trouble:
            return _in_spite_of(trouble, stored, now())
        if is_ours or (is_newer(after, stored) and after.seconds_left(now()) > 0):
            return _valid(after)
        stored = _signed_in(after, home, api_key)
    raise LocalTrouble(
        "store_failed", f"Other programs change {home.auth_file} again and again.", "Try again."
    )


def _recovered(home: CodexHome, say: Say) -> StoredSignIn | None:
    """Read auth.json, once a refresh that was killed is in it."""
    if os.path.lexists(home.own(JOURNAL)):  # else it is not loaded
        from headless_login.codex.journal import recover

        try:
            recover(home, say)
        except LocalTrouble as trouble:  # in the way of a refresh, but maybe none is needed
            say(f"Note: {trouble.message}")
    return read_stored(home, read=read_owned)


def _signed_in(stored: StoredSignIn | None, home: CodexHome, api_key: bool) -> StoredSignIn:
    """Return a sign-in that has, or can get, what is wanted."""
    if stored is None or stored.mode is None:
        raise NotSignedIn(f"There is no sign-in in {home.auth_file}.")
    if stored.mode == "apikey" and not api_key:
        raise WrongUsage(
            "The sign-in is an API key, which is printed only when it is asked for.",
            "Use: headless-login token --api-key",
        )
    if stored.mode not in ("apikey", "personalAccessToken", "chatgpt", "chatgptAuthTokens"):
        raise NotSignedIn(
            f"A sign-in of the mode {printable(stored.mode, 40)} has no access token.",
            "Sign in with ChatGPT: headless-login login",
        )
    return stored


def _valid(stored: StoredSignIn, trouble: str = "") -> ValidToken:
    token = stored.access_token or stored.api_key or ""
    if not is_one_word(token):  # it would break a line, or a terminal
        raise LocalTrouble("store_failed", "The token in auth.json is none.", "Sign in again.")
    return ValidToken(token, stored.access_token_expires_at, trouble)


def _renewable(stored: StoredSignIn) -> bool:
    return stored.mode == "chatgpt" and stored.refresh_token is not None


def _as_it_is(stored: StoredSignIn, min_valid: float, force: bool, now: float) -> ValidToken:
    """Return the token of a sign-in that nothing here can renew."""
    ends_at = stored.access_token_expires_at
    if ends_at is not None and ends_at <= now:
        raise NotSignedIn("The access token has ended, and nothing here can renew it.")
    is_short = ends_at is not None and (force or ends_at < now + min_valid)
    return _valid(stored, "There is no refresh token here." if is_short else "")


def _in_spite_of(trouble: HeadlessLoginError, stored: StoredSignIn, now: float) -> ValidToken:
    """Return the present token if it is still valid: what is in the way may pass."""
    from headless_login.refresh import NotStored

    ends_at = stored.access_token_expires_at
    has_ended = ends_at is not None and ends_at <= now
    if isinstance(trouble, NotStored) or stored.access_token is None or has_ended:
        raise trouble
    return _valid(stored, trouble.message)
