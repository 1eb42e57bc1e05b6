"""What is wrong with a sign-in and its configuration, and why somebody is signed out (`doctor`).

Offline, and nothing is changed. What is told names nobody: it is pasted into public places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from headless_login.codex.accounts import Listing, list_accounts
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import ANSWER_LOST, OUTCOME_UNKNOWN, Failure, last_failure
from headless_login.codex.rules import (
    CONFIG_KEYS,
    REQUIRED_KEYS,
    PolicyPlace,
    Rules,
    read_preference,
    read_toml,
    repository_files,
)
from headless_login.codex.running import running_codexes, started_at
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.codex.verdict import (
    Obstacle,
    environment_obstacle,
    first_obstacle,
    notes,
    store_obstacle,
)
from headless_login.errors import FAILED, OK, WARNING, Finding, HeadlessLoginError, LocalTrouble
from headless_login.oauth.identity import claims_of, identity_of
from headless_login.oauth.text import clock_setting, one_line, printable, unset

_LOGIN = "headless-login login"
_SKEW = 300  # seconds


def check_file(home: CodexHome) -> tuple[Finding, StoredSignIn | None]:
    """Return whether Codex can read auth.json, and what it says."""
    try:
        stored = read_stored(home)
    except LocalTrouble as trouble:
        return trouble.finding("auth_file"), None
    told = "There is none." if stored is None else "Codex can read it."
    return Finding("auth_file", OK, told), stored


def check_policy(
    home: CodexHome, place: PolicyPlace | None = None
) -> tuple[list[Finding], Rules | None]:
    """Check every layer of configuration (§10), and return what all say together; None: nothing."""
    name, found = "policy", [*_check_layers(home, place or PolicyPlace.of_this_machine())]
    try:
        rules = Rules.read(home, place)
    except HeadlessLoginError as error:
        known = {each.message for each in found}
        return [*found, *([] if error.message in known else [error.finding(name)])], None
    for method, reason in rules.forbidden.items():
        way = "ChatGPT" if method == "chatgpt" else "an API key"
        message = f"Signing in with {way} is not allowed: {reason}."
        found.append(Finding(name, WARNING, message, f"Use: {rules.allowed_way()}"))
    if rules.workspace_ids is not None and "chatgpt" not in rules.forbidden:
        message = f"{rules.workspace_source} allows certain workspaces only."
        found.append(Finding(name, OK, message))
    return found or [Finding(name, OK, "No file limits a sign-in here.")], rules


def _check_layers(home: CodexHome, place: PolicyPlace) -> Iterator[Finding]:
    below, managed, required = (
        os.path.join(place.folder, each)
        for each in ("config.toml", "managed_config.toml", "requirements.toml")
    )
    repository = []
    with suppress(OSError):
        repository = repository_files(os.getcwd(), home)
    for path in (below, home.config_file, *repository, managed):
        yield from _check_layer(path, CONFIG_KEYS)
    yield from _check_layer(required, REQUIRED_KEYS)
    for path in place.preferences:
        yield from _check_layer(path, CONFIG_KEYS, "config_toml_base64")
        yield from _check_layer(path, REQUIRED_KEYS, "requirements_toml_base64")
    for path in (managed, required):
        if os.path.lexists(where := os.path.join(home.path, os.path.basename(path))):
            message = f"{one_line(where)} is not read by Codex: it counts as {path} only."
            yield Finding("policy", WARNING, message, "Move it there, or remove it.")


def _check_layer(path: str, known: tuple[str, ...], key: str = "") -> Iterator[Finding]:
    shown = one_line(path)
    try:
        document = (read_preference(path, key) if key else read_toml(path))[1]
    except HeadlessLoginError as error:
        yield error.finding("policy")
        return
    if set_here := [key for key in known if key in document]:
        yield Finding("policy", OK, f"{shown} sets {', '.join(set_here)}.")
    others = {*CONFIG_KEYS, *REQUIRED_KEYS} - {*known}
    if ignored := sorted(key for key in others if key in document):
        message = f"{shown} sets {', '.join(ignored)}, which Codex ignores in that file."
        yield Finding("policy", WARNING, message, "Move it to the file where it counts.")


def check_surroundings(
    home: CodexHome, rules: Rules, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Check the credential store (§12), and the environment that beats auth.json (§11)."""
    found = store_obstacle(home, rules, environ)
    if found:
        yield Finding("store", FAILED, _sentence(found.message), found.remedy)
    else:
        message = f"Codex keeps its sign-in in auth.json (store: {rules.credential_store})."
        yield Finding("store", OK, message)
    found = environment_obstacle(environ, rules)
    if found:
        yield Finding("environment", FAILED, _sentence(found.message), found.remedy)
    else:
        yield Finding("environment", OK, "No variable stands in the way of auth.json.")
    for text in notes(home, rules, environ):
        name, remedy = "repository", "See that file."
        if "CODEX_API_KEY" in text:
            name, remedy = "codex_exec", unset("CODEX_API_KEY")
        yield Finding(name, WARNING, _sentence(text), remedy)
    ours = ("HEADLESS_LOGIN_ISSUER", "HEADLESS_LOGIN_CLIENT_ID")
    if names := [name for name in ours if environ.get(name)]:
        are_set = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} set"
        message = f"{are_set}: a sign-in goes to another server than OpenAI's."
        yield Finding("issuer_variable", WARNING, message, unset(*names))


def check_sign_in(
    home: CodexHome,
    stored: StoredSignIn | None,
    rules: Rules,
    environ: Mapping[str, str],
    now: float,
) -> Iterator[Finding]:
    """Say whether Codex is signed in, or why not any more; `now` in seconds since the epoch."""
    listing = list_accounts(home, tidy=False)
    if obstacle := first_obstacle(stored, home, rules, environ, now):
        yield _signed_out(obstacle, stored, listing)
    elif stored is not None:
        yield _verdict(stored, last_failure(home, stored.refresh_token or ""), listing, now)
    if stored is not None and stored.mode == "chatgpt":
        yield from _check_account(stored)
    for process in running_codexes(home) if listing.kept else ():
        if started_at(process) < listing.kept[0].last_present:
            message = f"Codex, process {process}, began with another account and stays with it."
            yield Finding("account", WARNING, message, "Restart that Codex.")


def _signed_out(obstacle: Obstacle, stored: StoredSignIn | None, listing: Listing) -> Finding:
    """Return why Codex is not signed in by the file, whatever an issuer says."""
    name, login = "sign_in", f"Sign in: {_LOGIN}"
    if obstacle.reason == "no_file":
        message, remedy = "Nobody is signed in here.", login
        if listing.kept:
            message, remedy = f"{message} A sign-in is kept.", "headless-login accounts use -"
        return Finding(name, WARNING, message, remedy)
    if obstacle.reason == "expired":
        why = "there is no refresh token (an access-only copy, perhaps)"
        if stored and stored.refresh_token:
            why = f"Codex renews none of this kind ({printable(stored.mode, 30)})"
            why = why if stored.workspace_id else "Codex renews none without an account id"
        return Finding(name, FAILED, f"Expired: the access token has ended, and {why}.", login)
    message = f"Not signed in, by {obstacle.reason}: {_sentence(obstacle.message)}"
    if obstacle.reason in ("store", "environment"):
        message = f"Not signed in by auth.json: see {obstacle.reason}, above."
    return Finding(name, FAILED, message, obstacle.remedy)


def _verdict(
    stored: StoredSignIn, failure: Failure | None, listing: Listing, now: float
) -> Finding:
    """Return how a sign-in stands that nothing offline forbids."""
    name, login = "sign_in", f"Sign in again: {_LOGIN}"
    ends = stored.access_token_expires_at
    until = "" if ends is None else f" until {_when(ends)}"
    if ends is not None and ends <= now:
        until = f", ended {_when(ends)}"
    if failure is None:
        renewal = "nothing can renew it" if stored.access_token else "unchecked"
        if stored.refresh_token:
            renewal = "whether the refresh token still works is not known"
        token = f"; access token{until}" if stored.access_token else ""
        return Finding(name, OK, f"Signed in ({printable(stored.mode, 30)}){token}; {renewal}.")
    at = f"At {_when(failure.at)}"
    if failure.code == OUTCOME_UNKNOWN:
        message = f"{at} a refresh got no answer, so the refresh token may be used up."
        return Finding(name, WARNING, message, "headless-login token --refresh")
    if failure.error == "unexpected_account":
        message = f"Another account: {at.lower()} the issuer answered with somebody else's tokens."
        return Finding(name, FAILED, message, login)
    if failure.error != "refresh_refused":
        message = f"{at} a refresh failed ({failure.error}); that may have passed."
        return Finding(name, WARNING, message, "headless-login token --refresh")
    if listing.present and listing.present.key in {each.key for each in listing.kept}:
        message = f"{at} the refresh token was refused. Newer tokens of this account are kept."
        return Finding(name, FAILED, message, "headless-login accounts")
    status = FAILED if ends is None or ends <= now else WARNING
    still = "" if status == FAILED else f" The access token works{until}, perhaps."
    other = f"Refused: the issuer takes the refresh token no more ({printable(failure.code, 40)})."
    why = _REFUSALS.get(failure.code.removeprefix("refresh_token_"), other)
    return Finding(name, status, f"{why} ({at[3:]}){still}", login)


# The issuer's word (§7, §14) or ours, and what has happened.
_REFUSALS = {
    ANSWER_LOST: "Reused: the answer to an earlier refresh was lost, and the new token.",
    "reused": (
        "Copied: another copy of this auth.json, or another program, has spent the refresh token, "
        "which works once; sign in on each machine by itself."
    ),
    "invalidated": (
        "Revoked: by a logout or a new sign-in with a copy of it, or in ChatGPT's settings."
    ),
    "expired": "Expired: the refresh token was not used for too long.",
}


def _check_account(stored: StoredSignIn) -> Iterator[Finding]:
    """Tell what the file says of its account that Codex stumbles over (§13)."""
    again = f"Sign in again: {_LOGIN}"
    named = identity_of(claims_of(stored.access_token or "") or {}).account_id
    if stored.workspace_id is None:
        message = "auth.json has no account id, so that Codex never renews the access token."
        yield Finding("account", WARNING, message, again)
    elif named is not None and named != stored.workspace_id:
        message = "The tokens are another account's than the account id in auth.json says."
        yield Finding("account", WARNING, message, again)


def check_clock(stored: StoredSignIn | None, now: float) -> Iterator[Finding]:
    """Compare the clock with what lies here: the tokens, and the files of this program."""
    shown, ahead = f"It is {_when(now)} by this machine's clock", ""
    if ((stored and stored.issued_at) or 0) > now + _SKEW:
        ahead = "the tokens come from the future"
    elif os.stat(__file__).st_mtime > now + 86400:
        ahead = "this program was installed in the future"
    if ahead:
        remedy = f"Set it, {clock_setting()}"
        yield Finding("clock", FAILED, f"{shown}, and {ahead}.", remedy)
    else:
        yield Finding("clock", OK, f"{shown}.")


def _when(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"


def _sentence(text: str) -> str:
    text = one_line(text).removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."
