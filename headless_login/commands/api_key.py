"""`login --with-api-key`: an API key from standard input, stored as Codex stores it."""

from __future__ import annotations

import sys

from headless_login.codex.api_key import masked, read_api_key
from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.locks import WAITING
from headless_login.codex.rules import Rules
from headless_login.commands.context import Context
from headless_login.commands.status import shadowed_by
from headless_login.errors import LocalTrouble, WrongUsage

_LONGEST = 64 * 1024  # bytes
PIPE_IT = "printenv OPENAI_API_KEY | headless-login login --with-api-key"


def login_with_api_key(home: CodexHome, context: Context) -> None:
    """Read a key from standard input and replace auth.json with it.

    Raises:
        WrongUsage: standard input is a terminal, or holds no API key.
        SignInRefused: config.toml forces ChatGPT.
        LocalTrouble: the file cannot be written.
    """
    rules = Rules.read(home)
    rules.check_method("api")
    key = read_api_key(_standard_input())
    if home.make():
        context.say(f"Made the Codex folder {home.path}.")
    credentials = Credentials.api_key(key)
    with AuthFile.locked(home, on_wait=lambda: context.say(WAITING)) as auth_file:
        auth_file.store(credentials)
        is_stored = auth_file.read() == credentials.content
    if not is_stored:  # a file system that swallows a write must not pass for a sign-in
        raise LocalTrouble("store_failed", f"{home.auth_file} does not hold what was written.")
    context.say(
        f"Stored the API key {masked(key)} in {home.auth_file}.",
        "Codex needs it to have write access to the Responses API (api.responses.write).",
    )
    for warning in filter(None, [rules.store_warning, *shadowed_by(context.environ)]):
        context.say(f"Note: {warning}")
    context.output.events.emit(
        "signed_in",
        auth_file=home.auth_file,
        target=None,
        email=None,
        account_id=None,
        plan=None,
        access_token_expires_at=None,
    )


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise WrongUsage("The API key is read from standard input only.", f"Use: {PIPE_IT}")
    try:
        return sys.stdin.buffer.read(_LONGEST)
    except OSError:
        pass
    raise WrongUsage("Standard input cannot be read.", f"Use: {PIPE_IT}")


def refuse_key_argument() -> WrongUsage:
    """Return the error for the legacy `--api-key …`: a key in an argument is visible to all."""
    return WrongUsage(
        "--api-key is gone: other users can see the arguments of a command. Treat that key as "
        "exposed.",
        f"Use: {PIPE_IT}",
    )
