"""`accounts`: who this Codex folder has been signed in as, and making another of them present."""

from __future__ import annotations

import json
from collections.abc import Sequence

from headless_login.codex.accounts import Accounts, Listing, list_accounts
from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import no_refresh
from headless_login.codex.kept import Account
from headless_login.codex.keys import masked
from headless_login.codex.locks import WAITING
from headless_login.codex.stored import described
from headless_login.commands.context import Context
from headless_login.commands.words import used_from_now_on
from headless_login.delivery.destination import IN_PLACE, CodexFolder, tell_running
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.oauth.text import one_line, printable
from headless_login.terminal.output import utc

_SEE = "See: headless-login accounts"
_SHORTEST = 4  # letters of a file's name, by which two can be told apart that share all others


def report_accounts(home: CodexHome, context: Context, *, as_json: bool) -> None:
    """Print all sign-ins, the present one first; one JSON object a line with `as_json`.

    No network is touched, and no lock taken unless something has to be tidied.
    """
    listing = list_accounts(home)
    if listing.trouble is not None:
        context.say(f"Note: {listing.trouble.message}")
    context.say(*(f"Note: {text}" for text in listing.unusable))
    accounts = _all(listing)
    if as_json:
        lines = [json.dumps(_document(account, accounts)) for account in accounts]
    else:
        lines = [_line(account) for account in accounts]
        lines = lines or [f"No sign-in is present or kept in {one_line(home.path)}"]
    context.output.answer.write("".join(f"{line}\n" for line in lines))


def use(who: str, folder: CodexFolder, context: Context) -> None:
    """Make another sign-in present; `-` is the one before. The present one is kept.

    Raises:
        WrongUsage: `unknown_account`; there is none of that name, or more than one.
        SignInRefused: Codex would not be allowed to use it here.
        LocalTrouble: it cannot be made present; nothing has changed.
    """
    with no_refresh(folder.home, context.say):  # its answer belongs to what is present now
        _use(who, folder, context)


def _use(who: str, folder: CodexFolder, context: Context) -> None:
    chosen = _meant(who, list_accounts(folder.home), folder.home)
    if not chosen.file:
        context.say(f"Already signed in with {described(chosen.stored)}.")
        _announce(chosen, context)
        return
    rules = folder.check_switch(chosen.stored)  # may take time: without the locks
    with Accounts.locked(folder.home, on_wait=lambda: context.say(WAITING)) as accounts:
        again = _meant(who, accounts.listing, folder.home)
        if again.key != chosen.key or not again.file:
            raise LocalTrouble("store_failed", "Another program has just switched.", "Try again.")
        replaced = accounts.replace(Credentials(again.content))
    before = None if replaced.same else replaced.account
    kept = f"; {described(before.stored)} is kept" if before else ""
    context.say(*([IN_PLACE] if replaced.in_place else []))
    context.say(f"Switched to {described(chosen.stored)}{kept}.")
    context.say(f"Saved in {folder.name}; {used_from_now_on(folder.steps_before_use(rules))}")
    if before is not None:
        tell_running(folder.home, before.stored, context.say)
    _announce(chosen, context)


def remove(who: str, folder: CodexFolder, context: Context) -> None:
    """Forget a kept sign-in; its tokens stay good at the issuer.

    Raises:
        WrongUsage: `unknown_account`; there is none of that name, or more than one. Or it is the
            present one, which `logout` removes.
        LocalTrouble: it is still there.
    """
    with (
        no_refresh(folder.home, context.say),
        Accounts.locked(folder.home, on_wait=lambda: context.say(WAITING)) as accounts,
    ):
        chosen = _chosen(who, accounts.listing)
        if not chosen.file:
            raise WrongUsage(
                f"That is the present sign-in: {described(chosen.stored)}.",
                "Use: headless-login logout",
            )
        accounts.forget(chosen)
    unrevoked = ""
    if chosen.stored.refresh_token:
        unrevoked = " Its refresh token was not revoked: it stays good until the issuer ends it."
    context.say(f"Forgot {described(chosen.stored)}.{unrevoked}")


def _all(listing: Listing) -> list[Account]:
    return [*([listing.present] if listing.present else []), *listing.kept]


def _meant(who: str, listing: Listing, home: CodexHome) -> Account:
    """Return the sign-in of that name; `-` is the one that was present last, and is not now.

    Raises:
        WrongUsage: `unknown_account`.
        LocalTrouble: auth.json cannot be understood, so it is not known what would be lost.
    """
    if listing.trouble is not None:
        raise listing.trouble
    if who != "-":
        return _chosen(who, listing)
    if listing.kept:
        return listing.kept[0]
    raise WrongUsage(
        f"No other sign-in is kept in {one_line(home.path)}.",
        "Sign in as somebody else: headless-login login",
        error="unknown_account",
    )


def _names(account: Account) -> list[str]:
    """Return by what a person can name a sign-in: e-mail address, account id, a key's mask."""
    stored, who = account.stored, account.stored.identity
    if stored.mode in ("apikey", "personalAccessToken"):
        return [masked(stored.api_key or "")]
    return [name for name in (who.email, who.account_id) if name]


def _chosen(who: str, listing: Listing) -> Account:
    """Return the one sign-in that is meant: the whole name counts more than its beginning.

    Raises:
        WrongUsage: `unknown_account`, with the candidates.
    """
    kept = {account.key for account in listing.kept}
    # A newer copy of the present one's account is what is meant, and not the present one.
    accounts = [each for each in _all(listing) if each.file or each.key not in kept]
    wanted = who.casefold()
    found: list[Account] = []
    if wanted:
        names = [(each, [name.casefold() for name in _names(each)]) for each in accounts]
        found = [each for each, own in names if wanted in own]
        found = found or [e for e, own in names if any(n.startswith(wanted) for n in own)]
    if not found and len(wanted) >= _SHORTEST:
        found = [each for each in accounts if each.key.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    raise _unknown(found, accounts)


def _unknown(found: Sequence[Account], accounts: Sequence[Account]) -> WrongUsage:
    """Return the error that names the candidates, by names that tell them apart.

    It does not repeat what was typed: that may be a key.
    """
    message = f"That names {len(found)} sign-ins." if found else "That names no sign-in here."
    among = found or accounts
    if not among:
        return WrongUsage(f"{message} None is kept.", _SEE, error="unknown_account")
    candidates = "; ".join(f"{_unambiguous(e, accounts)} ({described(e.stored)})" for e in among)
    return WrongUsage(message, f"There are: {candidates}", error="unknown_account")


def _unambiguous(account: Account, accounts: Sequence[Account]) -> str:
    """Return a name of a sign-in that no other one has, printable; at last its file's."""
    for name in _names(account):
        others = (own for each in accounts if each.key != account.key for own in _names(each))
        if name.isprintable() and name.casefold() not in {own.casefold() for own in others}:
            return name
    return account.key[:8]


def _line(account: Account) -> str:
    """Return one line about a sign-in: `*` before the present one."""
    stored = account.stored
    who = printable(stored.identity.account_id, 60) if stored.identity.account_id else ""
    parts = [described(stored), *([f"account {who}"] if who else [])]
    if stored.access_token_expires_at is not None:
        until = f"access token until {utc(stored.access_token_expires_at)[:16].replace('T', ' ')}"
        parts.append(f"{until} UTC{', renewable' if stored.refresh_token else ''}")
    return f"{' ' if account.file else '*'} {', '.join(parts)}"


def _document(account: Account, accounts: Sequence[Account]) -> dict[str, object]:
    stored, who = account.stored, account.stored.identity
    expires_at = stored.access_token_expires_at
    return {
        "email": who.email,
        "account_id": who.account_id,
        "plan": who.plan,
        "mode": stored.mode,
        "present": not account.file,
        "access_token_expires_at": None if expires_at is None else utc(expires_at),
        "who": _unambiguous(account, accounts),
    }


def _announce(account: Account, context: Context) -> None:
    stored, who = account.stored, account.stored.identity
    context.output.events.emit(
        "switched", email=who.email, account_id=who.account_id, plan=who.plan, mode=stored.mode
    )
