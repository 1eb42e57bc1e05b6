"""`login --with-api-key`: an API key from standard input, stored as Codex stores it."""

from __future__ import annotations

import sys

from headless_login.codex.api_key import masked, read_api_key
from headless_login.codex.auth_file import Credentials, store
from headless_login.codex.config import Config
from headless_login.codex.home import CodexHome
from headless_login.errors import WrongUsage
from headless_login.terminal.console import Console

_LONGEST = 64 * 1024  # bytes
PIPE_IT = "printenv OPENAI_API_KEY | headless-login login --with-api-key"


def sign_in_with_api_key(home: CodexHome, console: Console) -> None:
    """Read a key from standard input and replace auth.json with it.

    Raises:
        WrongUsage: standard input is a terminal, or holds no API key.
        SignInRefused: config.toml forces ChatGPT.
        LocalTrouble: the file cannot be written.
    """
    config = Config.read(home)
    config.check_method("api")
    if sys.stdin is None or sys.stdin.isatty():
        raise WrongUsage("The API key is read from standard input only.", f"Use: {PIPE_IT}")
    key = read_api_key(sys.stdin.buffer.read(_LONGEST))
    if home.make():
        console.say(f"Made the Codex folder {home.path}.")
    store(home, Credentials.api_key(key), on_wait=lambda: console.say("Waiting for Codex's lock…"))
    console.say(
        f"Stored the API key {masked(key)} in {home.auth_file}.",
        "Codex needs it to have write access to the Responses API (api.responses.write).",
    )
    if config.store_warning:
        console.say(f"Note: {config.store_warning}")


def refuse_key_argument() -> WrongUsage:
    """Return the error for the legacy `--api-key …`: a key in an argument is visible to all."""
    return WrongUsage(
        "--api-key is gone: other users can see the arguments of a command. Treat that key as "
        "exposed.",
        f"Use: {PIPE_IT}",
    )
