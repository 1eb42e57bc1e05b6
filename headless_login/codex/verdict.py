"""Whether the Codex of this machine would use auth.json, and be signed in by it.

As far as can be told offline, by the rules of Codex 0.169 (codex-facts.md §10 to §12): what only a
server or a keyring can say is called unchecked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from headless_login.codex.home import CodexHome
from headless_login.codex.rules import (
    STORE,
    WAY_OF_MODE,
    PolicyPlace,
    Rules,
    repository_files,
)
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.text import exported, one_line, printable, unset
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.codex.stored import StoredSignIn

WORKLOAD_IDENTITY = ("OPENAI_FEDERATION_RULE_ID", "OPENAI_IDENTITY_TOKEN_FILE")
ReadKeyring = Callable[[CodexHome, Mapping[str, str]], bytes | None]


def _read_keyring(home: CodexHome, environ: Mapping[str, str]) -> bytes | None:
    from headless_login.codex.keyring import read_keyring  # where a store asks for it only

    return read_keyring(home, environ)


class Obstacle(NamedTuple):
    """Why Codex would not be signed in by auth.json: a word of the contract, and what to do."""

    reason: str
    message: str
    remedy: str


def first_obstacle(
    stored: StoredSignIn | None,
    home: CodexHome,
    rules: Rules,
    environ: Mapping[str, str],
    now: float,
    *,
    read_keyring: ReadKeyring = _read_keyring,
) -> Obstacle | None:
    """Return what keeps Codex from being signed in by a file, or None if nothing does.

    `now` is in seconds since the epoch.
    """
    return (
        environment_obstacle(environ, rules)
        or (stored and _policy_obstacle(stored, rules))
        or store_obstacle(home, rules, environ, read_keyring=read_keyring)
        or _file_obstacle(stored, home, now)
    )


def environment_obstacle(environ: Mapping[str, str], rules: Rules) -> Obstacle | None:
    """Return the variables that Codex prefers to auth.json, the strongest first (§11)."""
    found = [name for name in WORKLOAD_IDENTITY if name in environ]  # even an empty one
    does = "signs in by workload identity" if found else "uses that token"
    if environ.get("CODEX_ACCESS_TOKEN", "").strip() and "chatgpt" not in rules.forbidden:
        found.append("CODEX_ACCESS_TOKEN")
    if not found:
        return None
    are_set = f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} set"
    message = f"{are_set}, so that Codex {does} (unchecked), not auth.json."
    return Obstacle("environment", message, unset(*found))


def _policy_obstacle(stored: StoredSignIn, rules: Rules) -> Obstacle | None:
    method = WAY_OF_MODE.get(stored.mode or "")
    if method and (reason := rules.forbidden.get(method)):
        removed = "forced_" in reason
    elif method == "chatgpt" and stored.mode != "personalAccessToken":
        if rules.allows_workspace(stored.workspace_id):
            return None
        account = printable(stored.workspace_id or "no account id", 60)
        reason = (
            f"{rules.workspace_source} does not allow the workspace of this sign-in ({account})"
        )
        removed = not rules.config_allows_workspace(stored.workspace_id)
    else:
        return None
    does = "removes auth.json when it starts" if removed else "sends its requests without it"
    remedy = f"Sign in as that allows: {rules.allowed_way()}"
    return Obstacle("policy", f"{reason}. Codex {does}.", remedy)


def store_obstacle(
    home: CodexHome,
    rules: Rules,
    environ: Mapping[str, str],
    *,
    read_keyring: ReadKeyring = _read_keyring,
) -> Obstacle | None:
    """Return why the credential store is not auth.json (codex-facts.md §12)."""
    store = rules.credential_store
    if store == "file":
        return None
    remedy = f'Set {STORE} = "file" in {one_line(rules.store_source)}.'
    if os.path.basename(rules.store_source) == "config.toml":  # no policy file
        remedy += f" Or start codex with: -c {STORE}=file"
    setting = f'{one_line(rules.store_source)} says {STORE} = "{store}"'
    if store == "keyring":
        return Obstacle("store", f"{setting}, so that Codex never reads auth.json.", remedy)
    if store == "ephemeral":
        return Obstacle("store", f"{setting}, so that Codex keeps no sign-in at all.", remedy)
    if not _is_readable(read_keyring(home, environ)):
        return None
    return Obstacle(
        "store",
        f"{setting}, and the keyring holds a sign-in (unchecked), which Codex prefers to "
        "auth.json.",
        f"Remove that one: codex logout. {remedy}",
    )


def _is_readable(kept: bytes | None) -> bool:
    """Return whether Codex could use what the keyring holds; else it goes on to the file."""
    from headless_login.codex.shape import Misshapen, read_shape

    try:
        return kept is not None and read_shape(kept) is not None
    except Misshapen:
        return False


def _file_obstacle(stored: StoredSignIn | None, home: CodexHome, now: float) -> Obstacle | None:
    if stored is None or stored.mode is None:
        message = f"there is no sign-in in {one_line(home.auth_file)}"
        return Obstacle("no_file", message, "Sign in: headless-login login")
    if stored.unknown_mode:
        mode = printable(stored.mode, 40)
        message = f"auth.json is of a mode that Codex 0.169 does not know: {mode}."
        return Obstacle("unknown_mode", message, "Sign in again, or use the Codex that wrote it.")
    if stored.usable(now):
        return None
    message = "the access token has ended, and nothing can renew it."
    return Obstacle("expired", message, "Sign in again: headless-login login")


def notes(
    home: CodexHome,
    rules: Rules,
    environ: Mapping[str, str],
    directory: str | None = None,
    *,
    place: PolicyPlace | None = None,
) -> list[str]:
    """Return what changes the sign-in for some Codexes only: in `codex exec`, or in a folder.

    `directory` is where Codex might be started, the present one unless it is given.
    """
    told = []
    if environ.get("CODEX_API_KEY", "").strip():
        told.append("CODEX_API_KEY is set; `codex exec` uses that instead of auth.json.")
    try:
        directory = directory or os.getcwd()
        if not repository_files(directory, home):
            return told  # nothing else is read than was read already
        there = Rules.read(home, place, directory=directory)
    except OSError:  # the present folder is gone
        return told
    except HeadlessLoginError as error:
        return [*told, f"A Codex that is started in {directory} fails: {error.message}"]
    if there[:3] != rules[:3]:
        names = " and ".join(map(one_line, there.repository_files))
        told.append(f"A Codex that is started in this folder follows {names} and is limited by it.")
    return told


def steps_before_use(
    home: CodexHome,
    rules: Rules,
    environ: Mapping[str, str],
    *,
    read_keyring: ReadKeyring = _read_keyring,
) -> list[str]:
    """Return what has to be done before Codex uses what was stored in a folder; often nothing."""
    found = environment_obstacle(environ, rules)
    steps = [found.remedy] if found else []
    if not _is_codexs_own(home, environ):
        steps.append(exported("CODEX_HOME", home.path))
    if found := store_obstacle(home, rules, environ, read_keyring=read_keyring):
        steps.append(found.remedy)
    return steps


def still_signed_in(home: CodexHome, environ: Mapping[str, str]) -> str:
    """Return by what Codex is signed in even without auth.json; an empty text if by nothing."""
    try:
        rules = Rules.read(home)
    except HeadlessLoginError:
        return ""  # Codex does not start
    found = environment_obstacle(environ, rules)
    if found is None and rules.credential_store in ("keyring", "auto"):
        if not _is_readable(_read_keyring(home, environ)):
            return ""
        return "The keyring still holds a sign-in, which Codex uses. To remove it: codex logout"
    return f"{found.message} To be signed out: {found.remedy}" if found else ""


def _is_codexs_own(home: CodexHome, environ: Mapping[str, str]) -> bool:
    """Return whether this is the folder that Codex finds by itself."""
    with suppress(HeadlessLoginError, OSError):
        return os.path.samefile(CodexHome.find(None, environ).path, home.path)
    return False
