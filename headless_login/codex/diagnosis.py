"""What is wrong with a Codex folder and its sign-in, and why somebody is signed out (`doctor`).

Offline, and nothing is changed. What is told names nobody: it is pasted into public places.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.journal import OUTCOME_UNKNOWN, Failure, last_failure
from headless_login.codex.pending.folder import our_folder
from headless_login.codex.preflight import check_writable
from headless_login.codex.rules import (
    CONFIG_KEYS,
    REQUIRED_KEYS,
    PolicyPlace,
    Rules,
    read_preference,
    read_toml,
    repository_files,
)
from headless_login.codex.stored import StoredSignIn, interpret, read_stored
from headless_login.codex.verdict import environment_obstacle, first_obstacle, notes, store_obstacle
from headless_login.errors import FAILED, OK, WARNING, Finding, HeadlessLoginError, LocalTrouble
from headless_login.oauth.identity import claims_of, identity_of
from headless_login.oauth.text import one_line, printable

_LOGIN = "headless-login login"
_LITTLE_SPACE = 10 * 1024 * 1024  # bytes
_SKEW = 300  # seconds


def check_folder(home: CodexHome, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the folder itself: is it there, may it be written, is there room (§6)."""
    from shlex import quote

    name, path = "folder", one_line(home.path)
    if (given := environ.get("CODEX_HOME", "")).startswith("~"):
        message = "CODEX_HOME begins with a ~, which only a shell expands."
        yield Finding(name, WARNING, message, f'export CODEX_HOME="$HOME{given[1:]}"')
    there = home.path
    while not os.path.lexists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if os.path.isdir(home.path):
        yield Finding(name, OK, f"{path} is there.")
        yield from _check_permissions(home)
    elif there == home.path:
        message = f"{path} is no folder, or cannot be entered."
        yield Finding(name, FAILED, message, "Move it away, or name another with --codex-home.")
    elif not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):
        message = f"{path} does not exist and cannot be made: no permission in {one_line(there)}."
        yield Finding(name, FAILED, message, "Name another folder with --codex-home.")
    elif given:
        message = f"{path} does not exist, and Codex does not start with such a CODEX_HOME."
        yield Finding(name, WARNING, message, f"mkdir -m 700 -p {quote(home.path)}")
    else:
        yield Finding(name, OK, f"{path} does not exist yet; a sign-in makes it.")
    yield check_space(there)


def check_space(path: str) -> Finding:
    """Return how much room there is where a path lies."""
    from shutil import disk_usage

    free, nodes = disk_usage(path).free, 1
    if hasattr(os, "statvfs"):
        found = os.statvfs(path)
        nodes = found.f_favail or not found.f_files  # some file systems do not count them
    status = OK if free >= _LITTLE_SPACE and nodes else WARNING if free and nodes else FAILED
    shown = f"{free // 1024**2} MiB are free" if nodes else "No inode is free"
    return Finding("space", status, f"{shown}.", "" if status == OK else "Make room on that disk.")


def _check_permissions(home: CodexHome) -> Iterator[Finding]:
    from shlex import quote

    name = "permissions"
    wrong = []
    for path, mask, change in ((home.path, 0o022, "go-w"), (home.auth_file, 0o077, "600")):
        with suppress(OSError):
            if os.name == "posix" and stat.S_IMODE(os.stat(path).st_mode) & mask:
                what = "write to" if mask == 0o022 else "read or write"
                message = f"Other users can {what} {one_line(path)}."
                wrong.append(Finding(name, WARNING, message, f"chmod {change} {quote(path)}"))
    try:
        check_writable(home, owner=_owner)
    except LocalTrouble as trouble:
        wrong.append(trouble.finding(name))
    yield from wrong or [Finding(name, OK, "auth.json can be written, and by this user alone.")]


def _owner(path: str) -> str:
    """Name whose a path is, without a name."""
    with suppress(OSError, AttributeError):
        return {os.geteuid(): "you", 0: "root"}.get(os.stat(path).st_uid, "another user")
    return "another user"


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
        found.append(Finding(name, WARNING, message, "Use the allowed way to sign in."))
    if rules.workspace_ids is not None and "chatgpt" not in rules.forbidden:
        message = f"{rules.workspace_source} allows certain workspaces only."
        found.append(Finding(name, OK, message))
    return found or [Finding(name, OK, "No file limits a sign-in here.")], rules


def _check_layers(home: CodexHome, place: PolicyPlace) -> Iterator[Finding]:
    managed = [os.path.join(place.folder, each) for each in ("config.toml", "managed_config.toml")]
    required = os.path.join(place.folder, "requirements.toml")
    repository = []
    with suppress(OSError):
        repository = repository_files(os.getcwd(), home)
    layers = [(each, CONFIG_KEYS, read_toml) for each in (*managed, home.config_file, *repository)]
    layers.append((required, REQUIRED_KEYS, read_toml))
    for path in place.preferences:
        for key, known in (("config_toml", CONFIG_KEYS), ("requirements_toml", REQUIRED_KEYS)):
            layers.append((path, known, lambda p, k=key: read_preference(p, f"{k}_base64")))  # type: ignore[misc]
    for path, known, read in layers:
        yield from _check_layer(path, known, read)
    for path in ("requirements.toml", "managed_config.toml"):
        if os.path.lexists(where := os.path.join(home.path, path)):
            message = f"{one_line(where)} is not read by Codex: it counts in {place.folder} only."
            yield Finding("policy", WARNING, message, "Move it there, or remove it.")


def _check_layer(
    path: str, known: tuple[str, ...], read: Callable[[str], tuple[str, Mapping[str, object]]]
) -> Iterator[Finding]:
    shown = one_line(path)
    try:
        document = read(path)[1]
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
    told = [*notes(home, rules, environ)]
    for text in told:
        remedy = "unset CODEX_API_KEY" if "CODEX_API_KEY" in text else "See that file."
        yield Finding("environment", WARNING, _sentence(text), remedy)
    for name in ("HEADLESS_LOGIN_ISSUER", "HEADLESS_LOGIN_CLIENT_ID"):
        if environ.get(name):
            message = f"{name} is set: a sign-in goes to another server than OpenAI's."
            yield Finding("environment", WARNING, message, f"unset {name}")
    if not (found or told):
        yield Finding("environment", OK, "No variable stands in the way of auth.json.")


def check_sign_in(
    home: CodexHome,
    stored: StoredSignIn | None,
    rules: Rules,
    environ: Mapping[str, str],
    now: float,
) -> Iterator[Finding]:
    """Say whether Codex is signed in, or why not any more; `now` in seconds since the epoch."""
    name = "sign_in"
    kept = _kept(home)
    obstacle = first_obstacle(stored, home, rules, environ, now)
    if obstacle is None and stored is not None:
        yield _verdict(stored, last_failure(home, stored.refresh_token or ""), kept, now)
    elif obstacle is not None and obstacle.reason == "no_file":
        remedy, told = f"Sign in: {_LOGIN}", ""
        if kept:
            remedy, told = "headless-login accounts use -", " Others are kept (accounts)."
        yield Finding(name, WARNING, f"Nobody is signed in here.{told}", remedy)
    elif obstacle is not None and obstacle.reason == "expired":
        why = "there is no refresh token (an access-only copy, perhaps)"
        if stored and stored.refresh_token:
            why = f"Codex renews none of this kind ({printable(stored.mode, 30)})"
            why = why if stored.workspace_id else "Codex renews none without an account id"
        message = f"Expired: the access token has ended, and {why}."
        yield Finding(name, FAILED, message, f"Sign in: {_LOGIN}")
    elif obstacle is not None:
        told = f"Not signed in, by {obstacle.reason}: {_sentence(obstacle.message)}"
        if obstacle.reason in ("store", "environment"):
            told = f"Not signed in by auth.json: see {obstacle.reason}, above."
        yield Finding(name, FAILED, told, obstacle.remedy)
    if stored is not None and stored.mode == "chatgpt":
        yield from _check_account(stored)


def _verdict(
    stored: StoredSignIn, failure: Failure | None, kept: list[StoredSignIn], now: float
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
    if any(_is_newer(each, stored) for each in kept):
        message = f"{at} the refresh token was refused. Newer tokens of this account are kept."
        return Finding(name, FAILED, message, "headless-login accounts use -")
    lost = "was lost" in failure.message
    status = FAILED if ends is None or ends <= now else WARNING
    still = "" if status == FAILED else f" The access token works{until}, perhaps."
    other = f"Refused: the issuer takes the refresh token no more ({printable(failure.code, 40)})."
    why = _REFUSALS.get("lost" if lost else failure.code, other)
    return Finding(name, status, f"{why} {at}.{still}", login)


# The issuer's word (§7, §14), and what has happened.
_REFUSALS = {
    "lost": "Reused: the answer to an earlier refresh was lost on its way, with the new token.",
    "refresh_token_reused": (
        "Copied: another copy of this auth.json has spent the refresh token, which works once; so "
        "sign in on each machine by itself."
    ),
    "refresh_token_invalidated": (
        "Revoked: by a logout or a new sign-in with a copy of it, or in ChatGPT's settings."
    ),
    "refresh_token_expired": "Expired: the refresh token was not used for too long.",
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


def check_clock(stored: StoredSignIn | None, now: float) -> Finding:
    """Compare the clock with what lies here: the tokens, and the files of this program."""
    shown = f"It is {_when(now)} by this machine's clock"
    made = os.stat(__file__).st_mtime
    if stored and stored.issued_at is not None and stored.issued_at > now + _SKEW:
        shown, right = f"{shown}, and the tokens come from the future", False
    else:
        right = made <= now + 86400
        shown = f"{shown}{'' if right else ', and this program was installed in the future'}"
    remedy = "" if right else "Set it: timedatectl set-ntp true"
    return Finding("clock", OK if right else FAILED, f"{shown}.", remedy)


def _kept(home: CodexHome) -> list[StoredSignIn]:
    """Return the kept sign-ins (`accounts`), as far as they can be read."""
    found = []
    with suppress(OSError, ValueError, TypeError, KeyError), our_folder(home) as (_, folder):
        if folder is not None:
            with folder.below("accounts") as accounts:
                for each in accounts.names():
                    if each.endswith(".json"):
                        content = json.loads(accounts.read(each)[0])
                        found.append(interpret(content["auth_json"].encode()))
    return found


def _is_newer(kept: StoredSignIn, stored: StoredSignIn) -> bool:
    same = kept.identity[1::2] == stored.identity[1::2]
    return same and (kept.issued_at or 0) > (stored.issued_at or 0)


def _when(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"


def _sentence(text: str) -> str:
    text = one_line(text).removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}." if not text.startswith(("/", "~")) else f"{text}."
